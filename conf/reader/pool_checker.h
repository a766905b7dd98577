// What a declaration of keys cannot say about pools: their names, which modules they may name, and that no
// two listeners want one address. Runs in: the config reader.
#pragma once

#include "conf/image/image.h"
#include "conf/options/findings.h"
#include "conf/reader/checker.h"

#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace drover {

class PoolChecker {
  public:
    PoolChecker(std::span<const ModuleDeclaration> modules, Findings& findings);

    // The checked [pool.NAME], named.
    ImageValue check(const DocumentValue& pool);

    // Every known module that a pool names, with the first place that does.
    const std::map<std::string, SourcePlace>& used_modules() const noexcept { return used_modules_; }

    // False: some pool names one that could not be read or loaded.
    bool knows_all_modules() const noexcept { return knows_all_modules_; }
    // What the master is told of each listener beside its keys; to be taken once, when all pools are checked:
    // "place" for messages, and whether it is "one_of_several" places of an address.
    ImageValue take_listener_notes() { return std::move(listener_notes_); }

  private:
    void expand_names(const DocumentValue& named, ImageValue& listeners, const std::string& path);
    void check_hang_timeout(const DocumentValue& pool, const ImageValue& checked, const std::string& path);
    void check_processors(const DocumentValue& pool, const std::string& path);
    void check_min_healthy(const DocumentValue& pool, const ImageValue& checked, const std::string& path);
    void check_modules(const DocumentValue& modules, const std::string& path);
    void check_place(const std::string& text, const DocumentValue& address, const std::string& path);
    void look_up(const DocumentValue& name, ImageValue& checked, const std::string& path);
    // `modules`: the pool's; null: not all of them are known.
    void check_listener(const DocumentValue& listener, ImageValue& checked,
                        const std::vector<std::string>* modules, const std::string& path);
    void check_address(const DocumentValue& address, const std::string& path);
    void check_transport(const DocumentValue& listener, const std::string& path);
    void check_module_takes(const DocumentValue& module, bool datagrams, const std::string& path);

    // What a pool calls a module: its library's path, or its name.
    std::string name_of(const std::string& module) const;

    std::span<const ModuleDeclaration> modules_;
    std::vector<std::string> known_modules_;  // that the program has
    bool knows_all_modules_ = true;
    Findings& findings_;
    ImageValue listener_notes_{.name = "listener_notes", .type = ValueType::list};
    std::map<std::string, SourcePlace> used_modules_;
    std::map<std::string, SourcePlace> addresses_;  // of every listener, as Address::text() writes them
};

}  // namespace drover
