# Sourced by the benches: the servers that are compared, in a folder of their own, on core 0; the client on core 1.
# `build` is set by who sources this, and the variables below are for them to change.
folder=$(mktemp -d)
server=""
workers=""
port=0
rounds=${ROUNDS:-7}
drover_port=18180
nginx_port=18181
bare_epoll_port=18182
drover_routes=""
nginx_http=""
nginx_locations=""

stop_server() {
    if [ -n "$server" ]; then
        kill -TERM "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    server=""
}
trap 'stop_server; rm -rf "$folder"' EXIT

# write_configs WORKERS BODY MAX_CONNECTIONS
write_configs() {
    cat >"$folder/drover.toml" <<TOML
[master]
runtime_dir = "run"
log_level = "warning"
[pool.main]
workers = $1
modules = ["http"]
max_connections = $3
[[pool.main.listen]]
address = "127.0.0.1:$drover_port"
module = "http"
[[module.http.route]]
path = "/"
return = { status = 200, type = "text/plain", body = "$2" }
$drover_routes
TOML
    cat >"$folder/nginx.conf" <<NGINX
worker_processes $1;
daemon off;
error_log stderr crit;
pid $folder/nginx.pid;
events { worker_connections $3; }
http {
    access_log off;
    keepalive_requests 1000000000;
    $nginx_http
    client_body_temp_path $folder/body;
    proxy_temp_path $folder/proxy;
    fastcgi_temp_path $folder/fastcgi;
    uwsgi_temp_path $folder/uwsgi;
    scgi_temp_path $folder/scgi;
    server {
        listen 127.0.0.1:$nginx_port reuseport backlog=4096;
        location / { default_type text/plain; return 200 "$2"; }
        $nginx_locations
    }
}
NGINX
}

# command_of NAME: sets `command` and `port`.
command_of() {
    case $1 in
        drover) command=("$build/drover" run -c "$folder/drover.toml") port=$drover_port ;;
        nginx) command=(nginx -e stderr -c "$folder/nginx.conf") port=$nginx_port ;;
        bare_epoll) command=("$build/bench/bare_epoll" "$bare_epoll_port") port=$bare_epoll_port ;;
    esac
}

# Processes may go while they are looked at.
children_of() {
    cat /proc/[0-9]*/status 2>/dev/null |
        awk -v parent="$1" '/^Pid:/ { pid = $2 } /^PPid:/ && $2 == parent { print pid }' || true
}

# load MODE CONNECTIONS SECONDS PATH [MORE]: the client, at `port`.
load() { taskset -c 1 "$build/bench/http_load" "$port" "$@"; }

# start NAME [CORES]: sets `server` and `workers`, the processes that serve; it answers when this returns.
start() {
    command_of "$1"
    ulimit -n 20000 2>/dev/null || true
    taskset -c "${2:-0}" "${command[@]}" &
    server=$!
    load keep 1 0.05 / >"$folder/probe"
    if [ "$1" = bare_epoll ]; then workers=$server; else workers=$(children_of "$server"); fi
}

median() { sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

# median_ratio OF TO: the median of the ratios line by line.
median_ratio() { paste "$1" "$2" | awk '{ print $1 / $2 }' | median; }
