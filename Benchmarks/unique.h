/* Makes two libraries of one source: `-DUNIQUE="1"`. */
__attribute__((used)) static const char unique[] = "unique " UNIQUE;
