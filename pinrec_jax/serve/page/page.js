// The remote control: pick a history, move the budget, see the list change.
import {
  html, render, useCallback, useEffect, useMemo, useRef, useState,
} from "/page/preact-htm.js";

const COLORS = [
  "#0b5cad", "#c2410c", "#157347", "#7c3aed", "#b4235a", "#0e7490", "#8a6d00",
  "#4b5563", "#9f1239", "#3f6212",
];
const UNSPECIFIED = "unspecified";
const SHOWN = 20;

let token = "";

// Returns the JSON of a call, or throws an Error with the server's message.
async function call(method, path, body) {
  const headers = { "content-type": "application/json" };
  if (token) headers.authorization = `Bearer ${token}`;
  let response;
  try {
    response = await fetch(path, {
      method, headers, body: body && JSON.stringify(body),
    });
  } catch {
    const gone = new Error("The server does not answer. Is it running?");
    gone.gone = true;
    throw gone;
  }
  const text = await response.text();
  let found = {};
  try { found = JSON.parse(text); } catch { /* not JSON */ }
  if (!response.ok) {
    const error = new Error(found.error || `The server answered ${response.status}.`);
    error.status = response.status;
    throw error;
  }
  return found;
}

const colorOf = (outcomes, name) =>
  COLORS[Math.max(0, [...outcomes, UNSPECIFIED].indexOf(name ?? UNSPECIFIED)) % COLORS.length];

const percent = (share) => `${Math.round(100 * share)} %`;

// Sets one share and scales the others, so that all of them sum to 1.
function moved(shares, name, value) {
  const rest = Object.keys(shares).filter((other) => other !== name);
  const before = rest.reduce((sum, other) => sum + shares[other], 0);
  const next = { [name]: value };
  rest.forEach((other) => {
    const part = before > 1e-9 ? shares[other] / before : 1 / rest.length;
    next[other] = (1 - value) * part;
  });
  return Object.fromEntries(Object.keys(shares).map((key) => [key, next[key]]));
}

// Shares in thousandths that sum to 1 exactly.
function rounded(shares) {
  const names = Object.keys(shares);
  const parts = names.map((name) => Math.round(1000 * shares[name]));
  const largest = parts.indexOf(Math.max(...parts));
  parts[largest] += 1000 - parts.reduce((sum, part) => sum + part, 0);
  return Object.fromEntries(
    names.map((name, n) => [name, parts[n] / 1000]).filter(([, share]) => share > 0),
  );
}

function Dot({ color }) {
  return html`<span class="dot" style=${{ background: color }} aria-hidden="true"></span>`;
}

function Budget({ info, shares, achieved, onMove }) {
  const names = Object.keys(shares);
  return html`<section aria-labelledby="budget">
    <h2 id="budget">Budget: which outcome should the list aim for?</h2>
    ${names.map((name) => html`<div class="share" key=${name}>
      <label class="name" for=${`share-${name}`}>
        <${Dot} color=${colorOf(info.outcomes, name)} />${name}
      </label>
      <input id=${`share-${name}`} type="range" min="0" max="100" step="1"
        value=${Math.round(100 * shares[name])}
        onInput=${(event) => onMove(name, event.target.valueAsNumber / 100)} />
      <output for=${`share-${name}`}>${percent(shares[name])}</output>
    </div>`)}
    <p class="quiet" id="achieved">Achieved in the list: ${achieved && Object.keys(achieved).length
      ? Object.entries(achieved).map(([name, share]) => `${name} ${percent(share)}`).join(", ")
      : "nothing yet"}</p>
    <div class="bar" role="img" aria-label="shares achieved by outcome">
      ${Object.entries(achieved || {}).map(([name, share]) => html`<span key=${name}
        style=${{ width: `${100 * share}%`, background: colorOf(info.outcomes, name) }}></span>`)}
    </div>
  </section>`;
}

function Settings({ info, settings, onChange }) {
  const set = (name) => (event) => onChange({ ...settings, [name]: event.target.value });
  const number = (name, low, high) => (event) => {
    const value = Math.min(high, Math.max(low, Math.round(event.target.valueAsNumber || low)));
    onChange({ ...settings, [name]: value });
  };
  return html`<section aria-labelledby="settings">
    <h2 id="settings">Request</h2>
    <div class="row">
      <label>Surface
        <select value=${settings.surface} onChange=${set("surface")}>
          <option value="">any</option>
          ${info.surfaces.slice(1).map((name) => html`<option value=${name}>${name}</option>`)}
        </select>
      </label>
      <label>Candidates
        <input type="number" min="1" max=${info.limits.candidates} value=${settings.candidates}
          onChange=${number("candidates", 1, info.limits.candidates)} />
      </label>
      <label>Steps
        <input type="number" min="1" max=${info.limits.steps} value=${settings.steps}
          onChange=${number("steps", 1, info.limits.steps)} />
      </label>
      <label>Vectors per outcome and step
        <input type="number" min="1" max=${info.limits.offsets} value=${settings.vectors}
          onChange=${number("vectors", 1, info.limits.offsets)} />
      </label>
    </div>
  </section>`;
}

function About({ item, about, children }) {
  const features = Object.entries(about || {}).filter(([, value]) => value.length);
  return html`<span class="about"><strong>${item}</strong>
    ${features.length > 0 && html`<span class="small"> ${features
      .map(([name, value]) => `${name.replaceAll("_", " ")} ${value.join(" ")}`).join(" · ")}</span>`}
    ${children}</span>`;
}

function History({ info, user, events, about, onUser, onEvents }) {
  const [text, setText] = useState("");
  const [matches, setMatches] = useState([]);
  const [message, setMessage] = useState("");
  const find = async (event) => {
    event.preventDefault();
    try {
      const found = await call("GET", `/v1/items?limit=8&query=${encodeURIComponent(text)}`);
      setMatches(found.items);
      setMessage(found.items.length ? "" : "No item matches.");
    } catch (error) { setMessage(error.message); }
  };
  const add = (item) => onEvents([
    ...events, { item: item.item, actions: [info.outcomes[0]] },
  ]);
  return html`<section aria-labelledby="history">
    <h2 id="history">History of ${events.length} events</h2>
    <div class="row">
      <label>Sample user
        <select value=${user} onChange=${(event) => onUser(event.target.value)}>
          <option value="">none: compose a history</option>
          ${info.sample_users.map((name) => html`<option value=${name}>${name}</option>`)}
        </select>
      </label>
      <button type="button" onClick=${() => onEvents([])}>Empty the history</button>
    </div>
    <form class="row" onSubmit=${find}>
      <label>Find items by id or attribute
        <input type="search" value=${text} onInput=${(event) => setText(event.target.value)} />
      </label>
      <button type="submit">Find</button>
    </form>
    ${message && html`<p role="status">${message}</p>`}
    ${matches.length > 0 && html`<ul aria-label="items found">${matches.map((found) => html`
      <li class="item" key=${found.item}><span></span>
        <${About} item=${found.item} about=${found.features} />
        <button type="button" class="plain" aria-label=${`add item ${found.item}`}
          onClick=${() => add(found)}>add</button></li>`)}</ul>`}
    <ol class="list" style=${{ maxHeight: "230px" }} aria-label="history, latest first" tabindex="0">
      ${events.map((event, place) => [event, place]).reverse().slice(0, 60).map(([event, place]) => html`
        <li class="item" key=${place}><span class="rank">${place + 1}</span>
          <${About} item=${event.item} about=${about[event.item]}>
            <span class="small"> ${(event.actions || []).join(", ")}</span><//>
          <button type="button" class="plain" aria-label=${`remove event ${place + 1}`}
            onClick=${() => onEvents(events.filter((_, other) => other !== place))}>×</button>
        </li>`)}
    </ol>
  </section>`;
}

function Recommendations({ info, found, changes }) {
  const list = found.answer.candidates;
  return html`<section aria-labelledby="list">
    <h2 id="list">Recommended: ${list.length} items</h2>
    <p class="quiet" role="status">Since the last setting:
      <span class="entered"> ${changes.entered.length} entered</span>,
      <span class="left"> ${changes.left.length} left</span>${changes.left.length > 0
        ? `: ${changes.left.slice(0, 8).join(", ")}${changes.left.length > 8 ? ", …" : ""}` : ""}.</p>
    <ol class="list" aria-label="recommended items" tabindex="0">
      ${list.map((one, place) => html`<li class="item" key=${one.item}>
        <span class="rank">${place + 1}</span>
        <${About} item=${one.item} about=${found.items[one.item]}>
          ${changes.entered.includes(String(one.item)) && html`<span class="entered"> new</span>`}<//>
        <span class="tag"><${Dot} color=${colorOf(info.outcomes, one.outcome)} />
          ${one.outcome ?? UNSPECIFIED}</span>
      </li>`)}
    </ol>
  </section>`;
}

function Comparison({ found }) {
  const own = new Set(found.answer.candidates.map((one) => String(one.item)));
  const column = (title, items) => {
    const both = items.filter((item) => own.has(String(item))).length;
    return html`<div>
      <p><strong>${title}</strong><br /><span class="quiet">${both} of ${items.length} are in
        the list</span></p>
      <ol aria-label=${title}>${items.slice(0, SHOWN).map((item, place) => html`
        <li class="item" key=${item}><span class="rank">${place + 1}</span>
          <${About} item=${item} about=${found.items[item]} />
          ${own.has(String(item)) ? html`<span class="tag">in both</span>` : html`<span></span>`}
        </li>`)}</ol></div>`;
  };
  return html`<section aria-labelledby="comparison">
    <h2 id="comparison">Beside it</h2>
    <div class="columns list" tabindex="0" aria-label="lists beside it" role="group">
      ${column(found.twin.title, found.twin.items)}
      ${column("Popularity", found.popularity)}
    </div>
  </section>`;
}

function draw(canvas, info, map) {
  const style = getComputedStyle(document.documentElement);
  const ink = style.getPropertyValue("--quiet");
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  pen.clearRect(0, 0, width, height);
  const points = [...map.background, ...map.history, ...map.items.map((p) => p.at),
    ...map.vectors.map((v) => v.at)];
  if (!points.length) return;
  const xs = points.map((p) => p[0]), ys = points.map((p) => p[1]);
  const low = [Math.min(...xs), Math.min(...ys)], high = [Math.max(...xs), Math.max(...ys)];
  const place = ([x, y]) => [
    16 + (width - 32) * (x - low[0]) / (high[0] - low[0] || 1),
    height - 16 - (height - 32) * (y - low[1]) / (high[1] - low[1] || 1),
  ];
  const disc = (at, radius, color, alpha) => {
    pen.globalAlpha = alpha;
    pen.fillStyle = color;
    pen.beginPath();
    pen.arc(...place(at), radius, 0, 2 * Math.PI);
    pen.fill();
  };
  map.background.forEach((at) => disc(at, 1.2, ink, 0.35));
  map.items.forEach((one) => disc(one.at, 4, colorOf(info.outcomes, one.outcome), 0.75));
  pen.globalAlpha = 1;
  pen.strokeStyle = style.getPropertyValue("--ink");
  pen.lineWidth = 1.2;
  map.history.forEach((at) => {
    const [x, y] = place(at);
    pen.strokeRect(x - 3, y - 3, 6, 6);
  });
  map.vectors.forEach((vector) => {
    const [x, y] = place(vector.at);
    pen.strokeStyle = colorOf(info.outcomes, vector.outcome);
    pen.lineWidth = 3;
    pen.beginPath();
    pen.moveTo(x - 8, y - 8);
    pen.lineTo(x + 8, y + 8);
    pen.moveTo(x + 8, y - 8);
    pen.lineTo(x - 8, y + 8);
    pen.stroke();
  });
}

function PcaMap({ info, map }) {
  const canvas = useRef(null);
  useEffect(() => {
    const redraw = () => canvas.current && draw(canvas.current, info, map);
    redraw();
    window.addEventListener("resize", redraw);
    return () => window.removeEventListener("resize", redraw);
  }, [info, map]);
  return html`<section aria-labelledby="map">
    <h2 id="map">Map of the item space (first two principal components)</h2>
    <canvas ref=${canvas} role="img" aria-label=${`map with ${map.history.length} history items, `
      + `${map.vectors.length} generated vectors and ${map.items.length} recommended items`}></canvas>
    <p class="legend"><span>▫ history</span><span>✕ generated vector</span>
      <span>● recommended item, by outcome</span><span>· other items</span></p>
  </section>`;
}

function Latency({ milliseconds, roundTrip }) {
  return html`<section aria-labelledby="latency">
    <h2 id="latency">Latency</h2>
    <table><thead><tr><th>stage</th><th class="number">ms</th></tr></thead>
      <tbody>${Object.entries(milliseconds).map(([stage, value]) => html`<tr key=${stage}>
        <td>${stage}</td><td class="number">${value.toFixed(1)}</td></tr>`)}
        <tr><td>round trip, in the browser</td><td class="number">${roundTrip.toFixed(1)}</td></tr>
      </tbody></table>
  </section>`;
}

function Curl({ request }) {
  const text = `curl -s ${location.origin}/v1/retrieve \\\n  -H 'content-type: application/json' \\\n`
    + (token ? "  -H 'authorization: Bearer TOKEN' \\\n" : "")
    + `  -d '${JSON.stringify(request).replaceAll("'", "'\\''")}'`;
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), 1500);
  };
  return html`<section aria-labelledby="curl">
    <h2 id="curl">The same request with curl</h2>
    <pre tabindex="0" aria-label="curl command">${text}</pre>
    <p>${navigator.clipboard
      && html`<button type="button" onClick=${copy}>${copied ? "Copied" : "Copy"}</button>`}
      <a href="/docs"> All endpoints</a></p>
  </section>`;
}

function Token({ onToken }) {
  const [text, setText] = useState("");
  const submit = (event) => { event.preventDefault(); token = text.trim(); onToken(); };
  return html`<form class="message" onSubmit=${submit}>
    <label>This server needs a token.
      <input type="password" autocomplete="off" value=${text}
        onInput=${(event) => setText(event.target.value)} /></label>
    <p><button type="submit">Use it</button></p>
  </form>`;
}

// Runs one request at a time; of several that wait, only the last one counts.
function useLatest(run) {
  const state = useRef({ busy: false, next: null });
  return useCallback(async (value) => {
    const own = state.current;
    own.next = value;
    if (own.busy) return;
    own.busy = true;
    while (own.next !== null) {
      const current = own.next;
      own.next = null;
      await run(current);
    }
    own.busy = false;
  }, [run]);
}

function Page() {
  const [info, setInfo] = useState(null);
  const [error, setError] = useState(null);
  const [user, setUser] = useState("");
  const [events, setEvents] = useState([]);
  const [about, setAbout] = useState({});
  const [shares, setShares] = useState({});
  const [settings, setSettings] = useState({});
  const [found, setFound] = useState(null);
  const [changes, setChanges] = useState({ entered: [], left: [] });
  const before = useRef(null);

  const start = useCallback(async () => {
    try {
      const own = await call("GET", "/v1/info");
      setInfo(own);
      const names = own.outcomes.length ? own.outcomes : [UNSPECIFIED];
      setShares(Object.fromEntries(names.map((name) => [name, own.budget[name] || 0])));
      setSettings({ surface: "", candidates: Math.min(50, own.limits.candidates), steps: 1, vectors: 1 });
      setError(null);
      if (own.sample_users.length) await pick(own.sample_users[0]);
    } catch (failure) { setError(failure); }
  }, []);
  useEffect(() => { start(); }, [start]);

  const pick = async (name) => {
    setUser(name);
    before.current = null;
    if (!name) { setEvents([]); return; }
    try {
      const own = await call("GET", `/v1/users/${encodeURIComponent(name)}`);
      setAbout((old) => ({ ...old, ...own.items }));
      setEvents(own.events);
      setError(null);
    } catch (failure) { setError(failure); }
  };

  const request = useMemo(() => {
    if (!info || !Object.keys(shares).length) return null;
    const own = { user: user || "page", events, candidates: settings.candidates, steps: settings.steps };
    if (info.conditioned) {
      own.budget = rounded(shares);
      own.offsets = info.offsets.slice(0, settings.vectors);
      if (settings.surface) own.surface = settings.surface;
    }
    return own;
  }, [info, user, events, shares, settings]);

  const ask = useCallback(async (own) => {
    const began = performance.now();
    try {
      const answer = await call("POST", "/v1/explain", own);
      answer.roundTrip = performance.now() - began;
      const items = answer.answer.candidates.map((one) => String(one.item));
      if (before.current) {
        const old = new Set(before.current), now = new Set(items);
        setChanges({ entered: items.filter((item) => !old.has(item)),
          left: before.current.filter((item) => !now.has(item)) });
      } else setChanges({ entered: [], left: [] });
      before.current = items;
      setAbout((old) => ({ ...old, ...answer.items }));
      setFound(answer);
      setError(null);
    } catch (failure) { setError(failure); }
  }, []);
  const latest = useLatest(ask);
  useEffect(() => { if (request) latest(request); }, [request, latest]);

  if (error && error.status === 401) {
    return html`<h1>PinRec</h1><${Token} onToken=${start} />`;
  }
  if (!info) {
    return html`<h1>PinRec</h1>${error
      ? html`<div class="message" role="alert">${error.message}
          <p><button type="button" onClick=${start}>Try again</button></p></div>`
      : html`<p class="loading">Loading…</p>`}`;
  }
  return html`
    <h1>PinRec: one model, steered by a budget</h1>
    <p class="quiet">Move a share: the list changes at once, without any retraining.
      Bundle ${info.bundle}, step ${info.model_step}, ${info.items.toLocaleString("en")} items.</p>
    ${error && html`<div class="message" role="alert">${error.message}
      <button type="button" onClick=${() => latest(request)}>Try again</button></div>`}
    <div class="grid">
      <div class="stack">
        <${Budget} info=${info} shares=${shares} achieved=${found && found.answer.achieved}
          onMove=${(name, value) => setShares((old) => moved(old, name, value))} />
        <${Settings} info=${info} settings=${settings} onChange=${setSettings} />
        <${History} info=${info} user=${user} events=${events} about=${about}
          onUser=${pick} onEvents=${setEvents} />
        ${found && html`<${Latency} milliseconds=${found.milliseconds} roundTrip=${found.roundTrip} />`}
      </div>
      <div class="stack">
        ${found && html`
          <${Recommendations} info=${info} found=${found} changes=${changes} />
          <${PcaMap} info=${info} map=${found.map} />
          <${Comparison} found=${found} />
          <${Curl} request=${request} />`}
      </div>
    </div>`;
}

render(html`<${Page} />`, document.getElementById("page"));
