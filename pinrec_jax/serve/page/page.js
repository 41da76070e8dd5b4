// The remote control: pick a history, move the budget, see the list change.
import { html, render, useCallback, useEffect, useMemo, useRef, useState } from "/page/preact-htm.js";

import { call, setToken } from "/page/api.js";
import { PcaMap } from "/page/map.js";
import { count, UNSPECIFIED } from "/page/names.js";
import {
  Budget, Comparison, Curl, History, Latency, Recommendations, Settings,
} from "/page/parts.js";
import { budget, moved, whole } from "/page/shares.js";

const CANDIDATES = 50; // Of the first list.
const RETRY = 1500; // Milliseconds between two tries.
const DRAGS = 100; // Drags of which the median time is shown.

const first = (info) => whole(Object.fromEntries(
  (info.outcomes.length ? info.outcomes : [UNSPECIFIED]).map((name) => [name, info.budget[name] || 0])));

// Returns the request that a choice stands for. A history that was not edited
// is left to the server, so that the request is short.
function bodyOf(info, { user, events, edited, shares, settings }) {
  const own = { user: user || "page", candidates: settings.candidates, steps: settings.steps };
  if (edited) own.events = events;
  if (info.conditioned) {
    own.budget = budget(shares);
    own.offsets = settings.offsets;
    if (settings.surface) own.surface = settings.surface;
  }
  return own;
}

// Runs one task at a time. Of several that wait, only the last one is run.
// While tasks run, the page is marked as busy.
function useLatest(run) {
  const state = useRef({ busy: false, next: null }).current;
  return useCallback(async (task) => {
    state.next = task;
    if (state.busy) return;
    state.busy = true;
    document.body.ariaBusy = "true";
    try {
      while (state.next !== null) {
        const current = state.next;
        state.next = null;
        await run(current);
      }
    } finally {
      state.busy = false;
      document.body.ariaBusy = "false";
    }
  }, [run]);
}

function Token({ wrong, onToken }) {
  const [text, setText] = useState("");
  const submit = (event) => { event.preventDefault(); setToken(text.trim()); onToken(); };
  return html`<form class="message" onSubmit=${submit}>
    <label for="token">This server needs a token.</label>
    ${wrong && html`<p role="alert">This token is wrong.</p>`}
    <div class="row"><input id="token" type="password" autocomplete="off" value=${text}
      onInput=${(event) => setText(event.target.value)} /><button type="submit">Use it</button></div>
  </form>`;
}

function Page() {
  const [info, setInfo] = useState(null);
  const [error, setError] = useState(null);
  const [tokens, setTokens] = useState(0);
  const [choice, setChoice] = useState(null);
  const [shown, setShown] = useState(null);
  const [drags, setDrags] = useState([]);
  // What handlers read must be that of this moment, not of the last rendering.
  const now = useRef({ info: null, choice: null, list: null, before: null, gesture: 0, about: {} }).current;
  const slider = useRef({ name: "", base: null, gripped: false }).current;

  const fail = (failure, retry) => {
    now.again = retry;
    setError(failure);
  };

  const ask = useCallback(async (task) => {
    try {
      const found = await call("POST", "/v1/explain", task.body);
      const roundTrip = performance.now() - task.began;
      Object.assign(now.about, found.items);
      // One drag is one gesture: its lists are compared with the one before it.
      if (task.fresh) now.before = null;
      else if (task.gesture !== now.answered) now.before = now.list;
      now.answered = task.gesture;
      now.list = found.answer.candidates.map((one) => String(one.item));
      setShown({ found, roundTrip, before: now.before, body: task.body, began: task.drag ? task.began : null });
      setError(null);
      if (found.answer.bundle !== now.info.bundle) await now.refresh();
    } catch (failure) { fail(failure, () => change({}, { same: true })); }
  }, []);
  const latest = useLatest(ask);

  // Changes the choice and asks for its list.
  const change = useCallback((patch, { fresh = false, drag = false, same = false } = {}) => {
    if (!same) now.gesture += 1;
    now.choice = { ...now.choice, ...patch };
    setChoice(now.choice);
    latest({ body: bodyOf(now.info, now.choice), gesture: now.gesture, fresh, drag, began: performance.now() });
  }, [latest]);

  // Another bundle is served now, maybe with other outcomes.
  now.refresh = async () => {
    now.info = await call("GET", "/v1/info");
    setInfo(now.info);
    const shares = first(now.info);
    if (Object.keys(shares).join() !== Object.keys(now.choice.shares).join()) change({ shares });
  };

  const pick = useCallback(async (user) => {
    try {
      const own = user ? await call("GET", `/v1/users/${encodeURIComponent(user)}`) : { events: [], items: {} };
      Object.assign(now.about, own.items);
      change({ user, events: own.events, edited: !user, known: own.events.length > 0 }, { fresh: true });
    } catch (failure) { fail(failure, () => pick(user)); }
  }, [change]);

  const start = useCallback(async () => {
    try {
      now.info = await call("GET", "/v1/info");
      const settings = { surface: "", candidates: Math.min(CANDIDATES, now.info.limits.candidates),
        steps: 1, offsets: now.info.offsets.slice(0, 1) };
      now.choice = { user: "", events: [], edited: true, shares: first(now.info), settings };
      setInfo(now.info);
      setChoice(now.choice);
      setError(null);
      await pick(now.info.sample_users[0] || "");
    } catch (failure) { fail(failure, start); }
  }, [pick]);
  useEffect(() => { start(); }, [start]);

  const again = () => now.again();
  useEffect(() => {
    if (!error || !error.again) return undefined;
    const timer = setInterval(again, RETRY);
    return () => clearInterval(timer);
  }, [error]);

  // An effect runs once the new list is on the screen.
  useEffect(() => {
    if (!shown || shown.began === null) return;
    performance.measure("drag", { start: shown.began, end: performance.now() });
    setDrags((old) => [...old, performance.now() - shown.began].slice(-DRAGS));
  }, [shown]);

  const move = (name, value) => {
    // Moving one share back and forth returns to the same proportions.
    if (slider.name !== name) Object.assign(slider, { name, base: now.choice.shares });
    const same = slider.gripped && slider.moved;
    slider.moved = true;
    change({ shares: moved(slider.base, name, value) }, { drag: true, same });
  };
  const grip = (gripped) => Object.assign(slider, { gripped, moved: false });
  const reset = () => { slider.name = ""; change({ shares: first(now.info) }); };
  const edit = (events, about) => { Object.assign(now.about, about); change({ events, edited: true, known: true }); };

  // A section whose inputs stay is not rendered again. This halves the time of a drag.
  const found = shown && shown.found, titles = now.about;
  const answer = found && found.answer;
  const list = useMemo(() => answer && html`<${Recommendations} info=${info} answer=${answer}
    before=${shown.before} titles=${titles} />`, [info, shown]);
  const map = useMemo(() => found && html`<${PcaMap} info=${info} found=${found}
    titleOf=${(item) => titles[item]?.title || item} />`, [info, shown]);
  const comparison = useMemo(() => found && html`<${Comparison} answer=${answer} twin=${found.twin}
    popularity=${found.popularity} titles=${titles} />`, [info, shown]);
  const about = answer ? JSON.stringify([answer.events_read, answer.events_dropped, answer.unknown_items]) : "";
  const history = useMemo(() => choice && html`<${History} info=${info} user=${choice.user}
    events=${choice.events} known=${choice.known} answer=${answer} titles=${titles} onUser=${pick}
    onEvents=${edit} />`, [info, choice && choice.events, choice && choice.user, about]);

  if (error && error.status === 401) {
    return html`<h1>PinRec</h1><${Token} wrong=${tokens > 0}
      onToken=${() => { setTokens(tokens + 1); start(); }} />`;
  }
  const message = error && html`<div class="message" role="alert"><p>${error.message}</p>
    <button type="button" onClick=${again}>Try again</button></div>`;
  if (!info || !choice) return html`<h1>PinRec</h1>${message || html`<p class="quiet">Loading…</p>`}`;
  return html`
    <header><h1>PinRec: one model, steered by a budget</h1>
      <p class="quiet">Move a share, and the list changes at once. Nothing is trained again.</p>
      <p class="small">Bundle ${info.bundle} · step ${info.model_step} · ${count(info.items, "item")}</p></header>
    ${message}
    <${Settings} info=${info} user=${choice.user} settings=${choice.settings} onUser=${pick}
      onChange=${(settings) => change({ settings })} />
    <div class=${error ? "grid stale" : "grid"}>
      <div class="stack budget"><${Budget} info=${info} shares=${choice.shares} answer=${answer}
        onMove=${move} onGrip=${grip} onReset=${reset} /></div>
      <div class="stack recommended">${list}</div>
      <div class="stack beside">${map}${comparison}</div>
      <div class="stack history">${history}
        ${found && html`<${Latency} milliseconds=${found.milliseconds} roundTrip=${shown.roundTrip}
          drags=${drags} />`}</div>
      <div class="stack curl">${found && html`<${Curl} body=${shown.body} />`}</div>
    </div>`;
}

render(html`<${Page} />`, document.getElementById("page"));
