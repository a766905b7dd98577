// The dashboard: one message a second from /live (modules/observer/live_message.h says what is in it), events as
// they come. What is on the page stays there and is changed in place, so that nothing flickers.

import { Chart } from "./chart.js";
import { bytes, duration, milliseconds, number } from "./text.js";

const most_events = 200;
const find = (id) => document.getElementById(id);

function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function mark(element, name, value) {
  if (element.dataset[name] !== value) element.dataset[name] = value;
}

function make(tag, className, parent) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  parent.append(element);
  return element;
}

const charts = {
  rate: new Chart(find("rate"), { least: 10, format: number }),
  time: new Chart(find("time"), { least: 1, format: milliseconds }),
  connections: new Chart(find("connections"), { least: 10, format: number }),
  memory: new Chart(find("memory"), { least: 1024 * 1024, format: bytes, binary: true }),
};

let before = null; // the message before this one
let joined = true; // no message of this stream has come yet: what it adds up may begin elsewhere

// A second's worth of what grew between the two; null: not known, or another master.
function rate(now, earlier, elapsed) {
  if (now === null || earlier === null || earlier === undefined || elapsed <= 0 || now < earlier) return null;
  return ((now - earlier) * 1000) / elapsed;
}

function show_charts(message) {
  const { totals, now_ms: at } = message;
  const elapsed = before === null ? 0 : at - before.now_ms;
  const since = (name) => (joined ? null : rate(totals[name], before?.totals[name], elapsed));
  const text = (value, format) => (value === null ? "–" : format(value));
  const serves_requests = totals.requests !== null;

  const per_second = since(serves_requests ? "requests" : "accepted");
  charts.rate.title(serves_requests ? "Requests a second" : "New connections a second");
  const errors = serves_requests ? since("errors") : null;
  const failing = errors > 0 ? `${number(errors)} failed` : "";
  charts.rate.add(at, [per_second, errors > 0 ? errors : null], text(per_second, number), failing);

  if (message.latency !== null || charts.time.caption.textContent.startsWith("Latency")) {
    const { p50_ms: p50 = null, p99_ms: p99 = null } = message.latency ?? {};
    charts.time.title("Latency, p50 and p99", { least: 0.2, format: milliseconds });
    charts.time.add(at, [p50, p99], text(p50, milliseconds), p99 === null ? "" : milliseconds(p99));
  } else {
    const sent = since("sent_bytes");
    const received = since("received_bytes");
    charts.time.title("Sent and received a second", { least: 1024, format: bytes, binary: true });
    charts.time.add(at, [sent, received], text(sent, bytes), received === null ? "" : bytes(received));
  }

  charts.connections.title("Open connections");
  const waiting = totals.queue > 0 ? `${number(totals.queue)} waiting` : "";
  charts.connections.add(at, [totals.connections, totals.queue || null], number(totals.connections), waiting);
  charts.memory.title("Memory of all workers");
  charts.memory.add(at, [totals.resident_bytes], bytes(totals.resident_bytes));
}

function show_master({ master, answers }) {
  say(find("state"), answers ? master.state : "master does not answer");
  mark(find("state"), "state", answers ? master.state : "lost");
  say(find("generation"), String(master.generation));
  say(find("uptime"), duration(master.uptime_s));
  say(find("master"), `${master.version}, pid ${master.pid}`);
  const reload = master.last_reload;
  say(find("reload"), reload === null ? "none yet" : reload.result.replace("_", " "));
  const refused = reload !== null && reload.result !== "ok";
  say(find("notice"), refused ? `The last reload was ${reload.result.replace("_", " ")}: ${reload.error}` : "");
  find("notice").hidden = !refused;
  document.title = answers && master.state === "running" ? "Drover" : `Drover: ${find("state").textContent}`;
}

const rows = new Map(); // by key
const columns = ["", "", "Generation", "Busy", "Memory", "Connections", "Accepted/s", "Lag", "Restarts", "Age"];

function make_row() {
  const row = document.createElement("tr");
  const cells = columns.map((label) => {
    const cell = make("td", "", row);
    if (label) cell.dataset.label = label;
    return cell;
  });
  const texts = cells.map((cell) => cell);
  const name = make("span", "name", cells[0]);
  const pid = make("span", "pid", cells[0]);
  texts[1] = make("span", "state", cells[1]);
  const meter = make("i", "", make("span", "meter", cells[3]));
  texts[3] = make("span", "", cells[3]);
  return { row, texts, name, pid, meter };
}

function show_worker(entry, worker, earlier, elapsed) {
  const { texts, name, pid, meter } = entry;
  const alive = worker.pid !== 0;
  const accepted = rate(worker.accepted, earlier?.accepted, elapsed);
  say(name, `${worker.pool}/${worker.slot}`);
  say(pid, alive ? `pid ${worker.pid}` : "");
  const waits = worker.next_attempt_s === null ? "" : `, ${Math.ceil(worker.next_attempt_s)} s`;
  const silent = worker.silent_s !== null;
  say(texts[1], silent ? `silent ${duration(worker.silent_s)}` : worker.state.replace("_", " ") + waits);
  mark(texts[1], "state", silent ? "silent" : worker.state);
  say(texts[2], String(worker.generation));
  say(texts[3], alive ? `${Math.round(worker.busy * 100)} %` : "–");
  meter.style.width = `${Math.round(Math.min(worker.busy, 1) * 100)}%`;
  say(texts[4], alive ? bytes(worker.resident_bytes) : "–");
  say(texts[5], number(worker.connections));
  say(texts[6], accepted === null ? "–" : number(accepted));
  say(texts[7], alive ? milliseconds(worker.loop_lag_us / 1000) : "–");
  say(texts[8], String(worker.restarts));
  say(texts[9], worker.age_s === null ? "–" : duration(worker.age_s));
}

// A slot may have two workers for a while: the one that leaves, and the one that comes.
const key_of = (worker) => `${worker.pool}/${worker.slot}/${worker.pid}`;

function show_workers(message) {
  const elapsed = before === null ? 0 : message.now_ms - before.now_ms;
  const earlier = new Map((before?.workers ?? []).map((worker) => [key_of(worker), worker]));
  const body = find("workers");
  const seen = new Set();
  let place = body.firstElementChild;
  for (const worker of message.workers) {
    const key = key_of(worker);
    seen.add(key);
    if (!rows.has(key)) rows.set(key, make_row());
    const entry = rows.get(key);
    show_worker(entry, worker, earlier.get(key), elapsed);
    if (entry.row !== place) body.insertBefore(entry.row, place);
    else place = place.nextElementSibling;
  }
  for (const [key, entry] of rows) {
    if (seen.has(key)) continue;
    entry.row.remove();
    rows.delete(key);
  }
  const serves = (worker) => worker.state === "serving" && worker.silent_s === null;
  const serving = message.workers.filter(serves).length;
  const more = message.more_workers > 0 ? `, ${message.more_workers} more are not shown` : "";
  say(find("workers-note"), `${serving} of ${message.workers.length} serve${more}`);
}

const tones = { warning: "warn", error: "bad", critical: "bad" };
const good = new Set(["ready", "handover"]);
const quiet = new Set(["start", "worker_started", "worker_ready", "worker_exit", "reload_change", "log_files"]);
let last_event = 0;
let events_of = ""; // which master's

// An id is "MASTER-NUMBER"; with another master numbers begin anew.
function show_event(event, id) {
  const master = id.split("-")[0];
  if (master === events_of && event.number <= last_event) return;
  events_of = master;
  last_event = event.number;
  const list = find("events");
  const item = document.createElement("li");
  if (quiet.has(event.event) && event.level === "info") item.className = "quiet";
  const time = make("time", "", item);
  const at = new Date(event.time);
  time.dateTime = event.time;
  time.title = at.toLocaleString();
  time.textContent = at.toLocaleTimeString("en-GB");
  const kind = make("span", "kind", item);
  kind.textContent = event.event.replaceAll("_", " ");
  const tone = tones[event.level] ?? (good.has(event.event) ? "good" : "");
  if (tone) kind.dataset.tone = tone;
  make("span", "text", item).textContent = event.text;
  list.prepend(item);
  while (list.children.length > most_events) list.lastElementChild.remove();
  say(find("events-note"), `the newest first, ${list.children.length} shown`);
}

function show(message) {
  const other_master = before !== null && before.master.pid !== message.master.pid;
  if (other_master || (before !== null && message.now_ms < before.now_ms)) {
    before = null;
    Object.values(charts).forEach((chart) => chart.clear());
  }
  show_master(message);
  show_charts(message);
  show_workers(message);
  before = message;
  joined = false;
}

// The stream never ends. It begins when the page is loaded: a tool that waits for the load would wait for it.
function connect() {
  const source = new EventSource("/live");
  source.onopen = () => {
    joined = true;
  };
  source.onmessage = ({ data }) => show(JSON.parse(data));
  source.addEventListener("event", ({ data, lastEventId }) => show_event(JSON.parse(data), lastEventId));
  source.onerror = () => {
    say(find("state"), "not connected");
    mark(find("state"), "state", "lost");
    if (source.readyState !== EventSource.CLOSED) return; // it tries again by itself
    setTimeout(connect, 5000);
  };
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  Object.values(charts).forEach((chart) => chart.draw());
});
addEventListener("load", () => setTimeout(connect));
