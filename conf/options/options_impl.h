// The bodies of Options<T>, included by options.h alone.
#pragma once

#include "conf/options/options.h"

#include <algorithm>
#include <concepts>

namespace drover {

template <class T>
Options<T>& Options<T>::boolean(std::string name, bool T::*member, bool fallback, Apply apply,
                                std::string help) {
    add({.name = std::move(name),
         .type = ValueType::boolean,
         .apply = apply,
         .help = std::move(help),
         .integer = {.fallback = fallback ? 1 : 0, .min = 0, .max = 1}});
    loaders_.push_back([member, fallback](T& target, const ImageNode& node) {
        target.*member = node ? node.boolean() : fallback;
    });
    return *this;
}

template <class T>
template <class Integer>
Options<T>& Options<T>::add_integer(ValueType type, std::string name, Integer T::*member, IntegerRule rule,
                                    Apply apply, std::string help) {
    static_assert(std::integral<Integer> && !std::same_as<Integer, bool>);
    constexpr auto widest = std::numeric_limits<std::int64_t>::max();
    if constexpr (std::cmp_less(std::numeric_limits<Integer>::max(), widest))
        rule.max = std::min<std::int64_t>(rule.max, std::numeric_limits<Integer>::max());
    if constexpr (std::is_unsigned_v<Integer>) rule.min = std::max<std::int64_t>(rule.min, 0);
    const bool stands_for_0 = rule.fallback_is_word && rule.resource == Resource::none;
    const auto fallback = static_cast<Integer>(stands_for_0 ? 0 : rule.fallback);
    add({.name = std::move(name),
         .type = type,
         .apply = apply,
         .help = std::move(help),
         .integer = std::move(rule)});
    loaders_.push_back([member, fallback](T& target, const ImageNode& node) {
        target.*member = node ? static_cast<Integer>(node.integer()) : fallback;
    });
    return *this;
}

template <class T>
template <class Integer>
Options<T>& Options<T>::integer(std::string name, Integer T::*member, IntegerRule rule, Apply apply,
                                std::string help) {
    return add_integer(ValueType::integer, std::move(name), member, std::move(rule), apply, std::move(help));
}

template <class T>
template <class Integer>
Options<T>& Options<T>::duration(std::string name, Integer T::*member, IntegerRule rule, Apply apply,
                                 std::string help) {
    return add_integer(ValueType::duration, std::move(name), member, std::move(rule), apply, std::move(help));
}

template <class T>
template <class Integer>
Options<T>& Options<T>::size(std::string name, Integer T::*member, IntegerRule rule, Apply apply,
                             std::string help) {
    return add_integer(ValueType::size, std::move(name), member, std::move(rule), apply, std::move(help));
}

template <class T>
Options<T>& Options<T>::text(std::string name, std::string_view T::*member, TextRule rule, Apply apply,
                             std::string help) {
    // Shared by all copies of the table: a loaded view of a default must outlive the copy it was loaded with.
    auto fallback = std::make_shared<const std::string>(rule.fallback);
    const Masking masking = rule.secret ? Masking::whole : Masking::none;
    add({.name = std::move(name),
         .type = ValueType::text,
         .apply = apply,
         .help = std::move(help),
         .text = std::move(rule),
         .masking = masking});
    loaders_.push_back([member, fallback](T& target, const ImageNode& node) {
        target.*member = node ? node.text() : std::string_view(*fallback);
    });
    return *this;
}

template <class T>
Options<T>& Options<T>::texts(std::string name, std::vector<std::string_view> T::*member,
                              std::vector<std::string> fallback, Apply apply, std::string help,
                              std::size_t max_items, Masking masking) {
    auto items = std::make_shared<const std::vector<std::string>>(fallback);
    add({.name = std::move(name),
         .type = ValueType::text,
         .apply = apply,
         .help = std::move(help),
         .list = true,
         .max_items = max_items,
         .default_items = std::move(fallback),
         .masking = masking});
    loaders_.push_back([member, items](T& target, const ImageNode& node) {
        (target.*member).clear();
        if (!node) (target.*member).assign(items->begin(), items->end());
        for (std::uint32_t index = 0; index < node.size(); ++index)
            (target.*member).push_back(node.child(index).text());
    });
    return *this;
}

template <class T>
template <class Enum>
Options<T>& Options<T>::choice(std::string name, Enum T::*member,
                               std::vector<std::pair<std::string, Enum>> choices, Enum fallback, Apply apply,
                               std::string help) {
    OptionKey key{.name = std::move(name), .type = ValueType::text, .apply = apply, .help = std::move(help)};
    for (const auto& [word, meaning] : choices) {
        if (meaning == fallback && key.text.fallback.empty()) key.text.fallback = word;
        key.choices.push_back(word);
    }
    add(std::move(key));
    loaders_.push_back([member, fallback, choices = std::move(choices)](T& target, const ImageNode& node) {
        target.*member = fallback;
        for (const auto& [word, meaning] : choices)
            if (node && node.text() == word) target.*member = meaning;
    });
    return *this;
}

template <class T>
template <class U>
Options<T>& Options<T>::table(std::string name, U T::*member, const Options<U>& options, Apply apply,
                              std::string help) {
    auto shared = std::make_shared<const Options<U>>(options);
    add({.name = std::move(name),
         .type = ValueType::table,
         .apply = apply,
         .help = std::move(help),
         .table = shared});
    loaders_.push_back([member, shared](T& target, const ImageNode& node) {
        if (node) target.*member = shared->load_verified(node);
    });
    return *this;
}

template <class T>
template <class U>
Options<T>& Options<T>::tables(std::string name, std::vector<U> T::*member, const Options<U>& options,
                               std::size_t max_items, Apply apply, std::string help) {
    auto shared = std::make_shared<const Options<U>>(options);
    add({.name = std::move(name),
         .type = ValueType::table,
         .apply = apply,
         .help = std::move(help),
         .table = shared,
         .list = true,
         .max_items = max_items});
    loaders_.push_back([member, shared](T& target, const ImageNode& node) {
        (target.*member).clear();
        for (std::uint32_t index = 0; index < node.size(); ++index)
            (target.*member).push_back(shared->load_verified(node.child(index)));
    });
    return *this;
}

template <class T>
T Options<T>::load(const ImageNode& table) const {
    verify_options(*this, table, false);
    return load_verified(table);
}

template <class T>
T Options<T>::load_verified(const ImageNode& table) const {
    T target{};
    for (std::size_t index = 0; index < keys_.size(); ++index)
        loaders_[index](target, table.find(keys_[index].name));
    return target;
}

}  // namespace drover
