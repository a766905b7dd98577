#include "master/reload/generation.h"

#include "core/base/system_error.h"
#include "core/base/visible_text.h"

#include <algorithm>
#include <csignal>
#include <iterator>
#include <utility>

#include <fcntl.h>

namespace drover {

namespace {

// An address with port 0 is a different one wherever it stands.
std::string listener_key(const Address& address, const PoolSettings& pool, std::size_t index) {
    const bool chosen_by_kernel = !address.is_unix() && address.port() == 0;
    return address.text() + (chosen_by_kernel ? " of " + pool.name + "[" + std::to_string(index) + "]" : "");
}

}  // namespace

GenerationSource GenerationSource::duplicate() const {
    const auto copy = [](const UniqueFd& fd) {
        return UniqueFd(check_call(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0), "fcntl"));
    };
    GenerationSource all{.image_fd = copy(image_fd), .image = Image::open(image_fd.get()), .libraries = {}};
    std::ranges::transform(libraries, std::back_inserter(all.libraries), copy);
    return all;
}

Generation::Contents::Contents(std::uint64_t generation, GenerationSource made_of, FileRegistry& registry)
    : number(generation), source(std::move(made_of)), settings(Settings::load(source.image)) {
    for (const FileSettings& file : settings.files) {
        try {
            files.push_back(registry.acquire(file.path));
        } catch (const std::system_error& failure) {
            throw std::runtime_error(std::string(file.place) + ": " + failure.what());
        }
    }
}

Pool::Origin Generation::Contents::origin(const PoolSettings& pool) const {
    Pool::Origin origin{.generation = number, .image_fd = source.image_fd.get()};
    for (const UniqueFd& library : source.libraries)
        origin.library_fds.push_back(library.get());
    for (std::size_t i = 0; i < files.size(); ++i) {
        const bool ours = std::ranges::find(pool.modules, settings.files[i].module) != pool.modules.end();
        if (ours) origin.files.push_back(files[i]);
    }
    return origin;
}

Generation::PoolListeners Generation::acquire(const Contents& contents, const PoolSettings& pool,
                                              ListenerRegistry& registry) {
    PoolListeners listeners;
    for (std::size_t i = 0; i < pool.listen.size(); ++i) {
        const ListenSettings& listen = pool.listen[i];
        const Address address = Address::parse(listen.address_text, contents.settings.directory);
        try {
            listeners.push_back(
                registry.acquire(listener_key(address, pool, i), address, listen.listener, pool.workers));
        } catch (const std::system_error& failure) {
            throw ListenerError(failure, listen);
        } catch (const std::runtime_error& refusal) {
            throw std::runtime_error(visible_text(listen.place) + ": " + refusal.what());
        }
    }
    return listeners;
}

Generation::Generation(std::uint64_t number, GenerationSource source, PoolContext& context,
                       ListenerRegistry& registry, PoolObserver& observer)
    : contents_(std::make_unique<Contents>(number, std::move(source), context.files)),
      counters_(context.counters),
      files_(context.files) {
    for (const PoolSettings& pool : contents_->settings.pools) {
        pools_.push_back(std::make_unique<Pool>(context, pool, contents_->origin(pool),
                                                acquire(*contents_, pool, registry), observer));
    }
    counters_.declare(number, declared_counters(image()));
}

Generation::~Generation() {
    abandon();
    counters_.forget(number());
}

void Generation::prepare(std::uint64_t number, GenerationSource source, ListenerRegistry& registry) {
    auto next = std::make_unique<Contents>(number, std::move(source), files_);
    std::vector<Pool::Next> parts;
    for (const auto& pool : pools_) {
        const PoolSettings* const settings = next->settings.find_pool(pool->name());
        if (settings == nullptr)
            throw std::runtime_error("pool " + pool->name() + " cannot vanish in a hot reload");
        parts.push_back({settings, next->origin(*settings), acquire(*next, *settings, registry)});
        // Workers to come that the pool shrinks by still need a socket until then.
        for (const auto& listener : parts.back().listeners) {
            if (listener->sockets() < pool->size()) listener->resize(pool->size());
        }
    }
    counters_.declare(number, declared_counters(next->source.image));
    next_ = std::move(next);
    for (std::size_t i = 0; i < pools_.size(); ++i)
        pools_[i]->prepare(std::move(parts[i]));
}

bool Generation::all_prepared() const noexcept {
    return std::ranges::all_of(pools_, [](const auto& pool) { return pool->all_prepared(); });
}

std::vector<ListenerUse> Generation::listener_uses(
    const std::function<std::vector<ListenerUse>(const Pool&)>& of) const {
    std::vector<ListenerUse> all;
    for (const auto& pool : pools_)
        std::ranges::move(of(*pool), std::back_inserter(all));
    return all;
}

void Generation::commit() {
    const std::vector<ListenerUse> uses =
        listener_uses([](const Pool& pool) { return pool.next_listener_uses(); });
    use_listeners(uses);
    turn_away_all_but(uses);
    const std::unique_ptr<Contents> before = std::exchange(contents_, std::move(next_));
    for (const auto& pool : pools_)
        pool->commit();
    counters_.forget(before->number);
}

void Generation::renew_listeners(ListenerRegistry& registry) {
    std::vector<PoolListeners> renewed;
    std::vector<ListenerUse> uses;
    for (const auto& pool : pools_) {
        renewed.push_back(acquire(*contents_, pool->settings(), registry));
        std::ranges::move(pool->uses_of(renewed.back()), std::back_inserter(uses));
    }
    use_listeners(uses);
    for (std::size_t i = 0; i < pools_.size(); ++i)
        pools_[i]->follow_renewed(std::move(renewed[i]));
}

void Generation::make_room_for(const Generation& next) {
    turn_away_all_but(next.listener_uses([](const Pool& pool) { return pool.listener_uses(); }));
}

void Generation::turn_away_all_but(const std::vector<ListenerUse>& uses) {
    std::vector<std::shared_ptr<Listener>> kept;
    std::ranges::transform(uses, std::back_inserter(kept), &ListenerUse::listener);
    for (const auto& pool : pools_)
        pool->turn_away_all_but(kept);
}

void Generation::abandon() noexcept {
    if (next_ == nullptr) return;
    for (const auto& pool : pools_)
        pool->abandon();
    counters_.forget(next_->number);
    next_.reset();
}

void Generation::replace_uncommitted() {
    for (const auto& pool : pools_)
        pool->replace_uncommitted();
}

bool Generation::all_committed() const noexcept {
    return std::ranges::all_of(pools_, [](const auto& pool) { return pool->all_committed(); });
}

void Generation::start() {
    for (const auto& pool : pools_)
        pool->start();
}

bool Generation::all_ready() const noexcept {
    return std::ranges::all_of(pools_, [](const auto& pool) { return pool->all_ready(); });
}

void Generation::serve() {
    use_listeners(listener_uses([](const Pool& pool) { return pool.listener_uses(); }));
    for (const auto& pool : pools_)
        pool->serve();
}

void Generation::retire(int signal) {
    for (const auto& pool : pools_)
        pool->retire(signal);
}

void Generation::make_way() {
    for (const auto& pool : pools_)
        pool->make_way();
}

void Generation::hand_over_to(const Generation& next) {
    for (const auto& pool : pools_) {
        if (const Pool* const successor = next.find_pool(pool->name())) pool->hand_over_to(*successor);
    }
}

void Generation::hand_over_to(const Pool& successor, WorkerProcess& newcomer) {
    if (Pool* const pool = find_pool(successor.name())) pool->hand_over_to(successor, newcomer);
}

Pool* Generation::find_pool(std::string_view name) const noexcept {
    const auto found =
        std::ranges::find_if(pools_, [name](const auto& pool) { return pool->name() == name; });
    return found == pools_.end() ? nullptr : found->get();
}

bool Generation::any_accepting() const noexcept {
    return std::ranges::any_of(pools_, [](const auto& pool) { return pool->any_accepting(); });
}

bool Generation::resized() const noexcept {
    return std::ranges::any_of(pools_,
                               [](const auto& pool) { return pool->size() != pool->settings().workers; });
}

bool Generation::empty() const noexcept {
    return std::ranges::all_of(pools_, [](const auto& pool) { return pool->empty(); });
}

void Generation::kill_accepting() {
    for (const auto& pool : pools_)
        pool->kill_accepting();
}

void Generation::retire_sockets() {
    for (const auto& pool : pools_)
        pool->retire_sockets();
}

void Generation::hold_sockets() noexcept {
    for (const auto& pool : pools_)
        pool->hold_sockets();
}

void Generation::steer() {
    for (const auto& pool : pools_)
        pool->steer();
}

void Generation::drop_idle_sockets() {
    for (const auto& pool : pools_)
        pool->drop_idle_sockets();
}

void Generation::refuse_new() {
    for (const auto& pool : pools_)
        pool->refuse_new();
}

void Generation::release_listeners() noexcept {
    for (const auto& pool : pools_)
        pool->release_listeners();
}

void Generation::retry_given_up() {
    for (const auto& pool : pools_)
        pool->retry_given_up();
}

bool Generation::on_exit(pid_t pid, const ExitReport& report) {
    return std::ranges::any_of(pools_, [&](const auto& pool) { return pool->on_exit(pid, report); });
}

void Generation::on_standstill(const Standstill& change) {
    for (const auto& pool : pools_)
        pool->on_standstill(change);
}

void Generation::send_log_files() {
    for (const auto& pool : pools_)
        pool->send_log_files();
}

void Generation::append_log_laggards(std::vector<std::string>& names) const {
    for (const auto& pool : pools_)
        pool->append_log_laggards(names);
}

void Generation::append_status(std::vector<WorkerStatus>& lines) const {
    for (const auto& pool : pools_)
        pool->append_status(lines);
}

void Generation::append_drain_progress(std::string& text) const {
    Pool::Draining all;
    for (const auto& pool : pools_) {
        const Pool::Draining part = pool->draining();
        all.workers += part.workers;
        all.connections += part.connections;
        all.return_addresses += part.return_addresses;
    }
    if (all.workers == 0) return;
    if (!text.empty()) text += ", ";
    text += "generation " + std::to_string(number()) + ": " + std::to_string(all.workers) + " workers with " +
            std::to_string(all.connections) + " connections";
    if (all.return_addresses > 0)
        text += " (" + std::to_string(all.return_addresses) + " return addresses are kept)";
}

std::string Generation::listening_text() const {
    std::string text;
    for (const auto& pool : pools_) {
        const std::string part = pool->listening_text();
        if (!text.empty() && !part.empty()) text += ", ";
        text += part;
    }
    return text;
}

std::chrono::milliseconds Generation::longest_drain() const noexcept {
    std::int64_t longest = 0;
    for (const PoolSettings& pool : contents_->settings.pools)
        longest = std::max(longest, pool.drain_timeout_ms);
    return std::chrono::milliseconds(longest);
}

}  // namespace drover
