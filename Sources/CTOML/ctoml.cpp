#include "ctoml.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

// An assertion of the parser must not end the host: it becomes a parse error.
#define TOML_ASSERT(expr) ((expr) ? static_cast<void>(0) : throw std::logic_error("parser assertion: " #expr))
#define TOML_EXCEPTIONS 1
#define TOML_ENABLE_FORMATTERS 0
#define TOML_ENABLE_UNRELEASED_FEATURES 0
#define TOML_MAX_NESTED_VALUES CTOML_MAX_DEPTH
#include <toml++/toml.h>

struct ctoml_document {
    std::string text;
    toml::table root;
    std::vector<ctoml_node> nodes;
};

namespace {

struct Refusal {
    toml::source_position place;
    std::string message;
};

void report(ctoml_error *error, toml::source_position place, std::string_view message) {
    if (!error) return;
    error->line = place.line;
    error->column = place.column;
    size_t length = std::min(message.size(), sizeof(error->message) - 1);
    // Not in the middle of a UTF-8 sequence.
    while (length < message.size() && length > 0 && (static_cast<unsigned char>(message[length]) & 0xC0) == 0x80) length--;
    std::memcpy(error->message, message.data(), length);
    error->message[length] = 0;
}

// The parser recurses over nested values, which it bounds, and builds (and later destroys)
// a table per part of a dotted key, which it does not. So the parts are counted before it
// sees the text. Strings and comments are skipped; in text that is not TOML this may count
// wrongly, and the parser refuses that text anyway.
class KeyPartsCheck {
public:
    explicit KeyPartsCheck(std::string_view text) : text_(text) {}

    void run() {
        while (at_ < text_.size()) {
            switch (text_[at_]) {
            case '\n': dots_ = 0; step(1); break;
            case '=': case ',': case '[': case ']': case '{': case '}': dots_ = 0; step(1); break;
            case '.':
                if (++dots_ >= CTOML_MAX_KEY_PARTS) throw Refusal{place(), "a dotted key has more than 32 parts"};
                step(1);
                break;
            case '#': while (at_ < text_.size() && text_[at_] != '\n') step(1); break;
            case '"': skipString('"', true); break;
            case '\'': skipString('\'', false); break;
            default: step(1);
            }
        }
    }

private:
    toml::source_position place() const { return {line_, column_}; }

    void step(size_t count) {
        for (; count > 0 && at_ < text_.size(); count--, at_++) {
            unsigned char byte = static_cast<unsigned char>(text_[at_]);
            if (byte == '\n') { line_++; column_ = 1; }
            else if ((byte & 0xC0) != 0x80) column_++;
        }
    }

    bool tripled(char quote) const {
        return at_ + 2 < text_.size() && text_[at_] == quote && text_[at_ + 1] == quote && text_[at_ + 2] == quote;
    }

    void skipString(char quote, bool escapes) {
        bool multiline = tripled(quote);
        step(multiline ? 3 : 1);
        while (at_ < text_.size()) {
            if (escapes && text_[at_] == '\\') step(2);
            else if (multiline && tripled(quote)) {
                step(3);
                // Up to two quotes may stand before the closing three.
                for (int extra = 0; extra < 2 && at_ < text_.size() && text_[at_] == quote; extra++) step(1);
                return;
            }
            else if (!multiline && (text_[at_] == quote || text_[at_] == '\n')) {
                if (text_[at_] == quote) step(1);
                return;
            }
            else step(1);
        }
    }

    std::string_view text_;
    size_t at_ = 0;
    int dots_ = 0;
    toml::source_index line_ = 1, column_ = 1;
};

void setDate(ctoml_node &node, const toml::date &date) {
    node.year = date.year;
    node.month = date.month;
    node.day = date.day;
}

void setTime(ctoml_node &node, const toml::time &time) {
    node.hour = time.hour;
    node.minute = time.minute;
    node.second = time.second;
    node.nanosecond = time.nanosecond;
}

void setValue(ctoml_node &out, const toml::node &value) {
    if (auto string = value.as_string()) {
        out.kind = CTOML_STRING;
        out.text = (*string)->data();
        out.text_length = (*string)->size();
    } else if (auto integer = value.as_integer()) {
        out.kind = CTOML_INTEGER;
        out.integer = integer->get();
    } else if (value.is_floating_point()) {
        out.kind = CTOML_FLOAT;
    } else if (auto boolean = value.as_boolean()) {
        out.kind = CTOML_BOOLEAN;
        out.integer = boolean->get() ? 1 : 0;
    } else if (auto date = value.as_date()) {
        out.kind = CTOML_DATE;
        setDate(out, date->get());
    } else if (auto time = value.as_time()) {
        out.kind = CTOML_TIME;
        setTime(out, time->get());
    } else if (auto both = value.as_date_time()) {
        out.kind = CTOML_DATE_TIME;
        setDate(out, both->get().date);
        setTime(out, both->get().time);
        if (both->get().offset) {
            out.has_offset = 1;
            out.offset_minutes = both->get().offset->minutes;
        }
    } else {
        throw std::logic_error("a value of unknown kind");
    }
}

void flatten(std::vector<ctoml_node> &nodes, const toml::node &value, const toml::key *key, int depth) {
    if (depth > CTOML_MAX_DEPTH) throw Refusal{value.source().begin, "tables and arrays are nested more than 64 deep"};
    size_t index = nodes.size();
    ctoml_node node{};
    node.line = value.source().begin.line;
    node.column = value.source().begin.column;
    if (key) {
        node.key_line = key->source().begin.line;
        node.key_column = key->source().begin.column;
        node.key = key->str().data();
        node.key_length = key->str().size();
    }
    if (auto table = value.as_table()) {
        node.kind = CTOML_TABLE;
        nodes.push_back(node);
        for (auto &&[childKey, child] : *table) flatten(nodes, child, &childKey, depth + 1);
    } else if (auto array = value.as_array()) {
        node.kind = CTOML_ARRAY;
        nodes.push_back(node);
        for (auto &&child : *array) flatten(nodes, child, nullptr, depth + 1);
    } else {
        setValue(node, value);
        nodes.push_back(node);
    }
    nodes[index].size = static_cast<uint32_t>(nodes.size() - index);
}

bool isFloatCharacter(char c) {
    return (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.' || c == '_' || c == 'e' || c == 'E' || c == 'i' ||
           c == 'n' || c == 'f' || c == 'a';
}

// A float keeps the digits of the source: through a binary double "0.10" of somebody's
// money would not come back. Positions are in code points, so the text is walked once,
// float by float in the order of their places.
void attachFloatTexts(ctoml_document &document) {
    std::vector<ctoml_node *> floats;
    for (auto &node : document.nodes)
        if (node.kind == CTOML_FLOAT) floats.push_back(&node);
    std::sort(floats.begin(), floats.end(), [](const ctoml_node *a, const ctoml_node *b) {
        return a->line != b->line ? a->line < b->line : a->column < b->column;
    });
    const std::string &text = document.text;
    size_t at = text.compare(0, 3, "\xEF\xBB\xBF") == 0 ? 3 : 0;
    uint32_t line = 1, column = 1;
    for (ctoml_node *node : floats) {
        while (at < text.size() && (line < node->line || (line == node->line && column < node->column))) {
            if (text[at] == '\n') { line++; column = 1; }
            else column++;
            at++;
            while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) at++;
        }
        size_t end = at;
        while (end < text.size() && isFloatCharacter(text[end])) end++;
        if (end == at) throw std::logic_error("a float without its text");
        node->text = text.data() + at;
        node->text_length = end - at;
    }
}

} // namespace

extern "C" ctoml_document *ctoml_parse(const char *text, size_t length, ctoml_error *error) {
    ctoml_document *document = nullptr;
    try {
        if (length > CTOML_MAX_BYTES) throw Refusal{{0, 0}, "the text is longer than 4 MiB"};
        document = new ctoml_document;
        document->text.assign(text ? text : "", text ? length : 0);
        KeyPartsCheck(document->text).run();
        document->root = toml::parse(document->text);
        flatten(document->nodes, document->root, nullptr, 0);
        attachFloatTexts(*document);
        return document;
    } catch (const Refusal &refusal) {
        report(error, refusal.place, refusal.message);
    } catch (const toml::parse_error &fault) {
        report(error, fault.source().begin, fault.description());
    } catch (const std::exception &fault) {
        report(error, {0, 0}, fault.what());
    } catch (...) {
        report(error, {0, 0}, "unknown fault");
    }
    delete document;
    return nullptr;
}

extern "C" const ctoml_node *ctoml_nodes(const ctoml_document *document, size_t *count) {
    if (count) *count = document ? document->nodes.size() : 0;
    return document ? document->nodes.data() : nullptr;
}

extern "C" void ctoml_free(ctoml_document *document) { delete document; }
