/* Makes one library of two otherwise equal ones: `-DUNIQUE="1"`. */
__attribute__((used, visibility("default"))) static const char unique[] = "unique " UNIQUE;
