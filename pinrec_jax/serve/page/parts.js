// The sections of the page. They get what they show, and say what was done.
import { html, useState } from "/page/preact-htm.js";

import { call, hasToken } from "/page/api.js";
import {
  attributes, colorOf, count, offsetName, UNSPECIFIED, vectorName,
} from "/page/names.js";

const FOUND = 8; // Items of a search that are shown.
const RECENT = 100; // Events of the history that are shown.
const percent = (fraction) => `${Math.round(100 * fraction)} %`;

function Dot({ info, outcome }) {
  return html`<span class="dot" aria-hidden="true"
    style=${{ background: `var(${colorOf(info, outcome)})` }}></span>`;
}

function Item({ item, about = {}, brief, children }) {
  const more = brief ? [] : attributes(about);
  if (about.title) more.unshift(`#${item}`);
  return html`<span class="about">
    <span class="title">${about.title || item}</span>
    ${more.length > 0 && html` <span class=${brief ? "small" : "small block"}>${more.join(" · ")}</span>`}
    ${children}</span>`;
}

function Bar({ info, name, shares }) {
  const text = Object.entries(shares).map(([outcome, share]) => `${outcome} ${percent(share)}`);
  return html`<div class="bar-row"><span class="small">${name}</span>
    <div class="bar" role="img" aria-label=${`${name}: ${text.join(", ") || "nothing"}`}>
      ${Object.entries(shares).map(([outcome, share]) => html`<span key=${outcome} style=${{
        width: `${100 * share}%`, background: `var(${colorOf(info, outcome)})` }}></span>`)}
    </div></div>`;
}

export function Budget({ info, shares, answer, onMove, onGrip, onReset }) {
  const names = Object.keys(shares), achieved = answer ? answer.achieved : {};
  return html`<section aria-labelledby="budget">
    <div class="head"><h2 id="budget">Budget</h2>
      ${names.length > 1 && html`<button type="button" class="plain" onClick=${onReset}>Reset</button>`}</div>
    <p class="quiet">Which share of the list should aim at which outcome?</p>
    ${names.map((name) => html`<div class="share" key=${name}>
      <label for=${`share-${name}`}><${Dot} info=${info} outcome=${name} />${name}</label>
      <output for=${`share-${name}`}>${shares[name]} %</output>
      <span class="small got">${answer && (shares[name] || achieved[name])
        ? `got ${percent(achieved[name] || 0)}` : ""}</span>
      <input id=${`share-${name}`} type="range" min="0" max="100" step="1" value=${shares[name]}
        disabled=${names.length < 2} aria-valuetext=${`${shares[name]} %`}
        style=${{ accentColor: `var(${colorOf(info, name)})` }}
        onPointerDown=${() => onGrip(true)} onPointerUp=${() => onGrip(false)}
        onPointerCancel=${() => onGrip(false)}
        onInput=${(event) => onMove(name, event.target.valueAsNumber)} />
    </div>`)}
    <${Bar} info=${info} name="asked" shares=${Object.fromEntries(
      names.filter((name) => shares[name] > 0).map((name) => [name, shares[name] / 100]))} />
    <${Bar} info=${info} name="achieved" shares=${achieved} />
  </section>`;
}

function Whole({ label, value, most, onChange }) {
  const [text, setText] = useState(null);
  const bad = text !== null;
  const edit = ({ target }) => {
    const own = target.valueAsNumber;
    const good = Number.isInteger(own) && own >= 1 && own <= most;
    setText(good ? null : target.value);
    if (good) onChange(own);
  };
  const id = `number-${label}`;
  return html`<div><label for=${id}>${label}</label>
    <input id=${id} type="number" min="1" max=${most} value=${bad ? text : value}
      aria-invalid=${bad} aria-describedby=${bad ? `${id}-error` : undefined} onInput=${edit} />
    ${bad && html`<span id=${`${id}-error`} class="error" role="alert">use 1 to ${most}</span>`}</div>`;
}

export function Settings({ info, user, settings, onUser, onChange }) {
  const change = (name) => (value) => onChange({ ...settings, [name]: value });
  const { offsets, surface, candidates, steps } = settings, { limits } = info;
  const turn = (offset) => change("offsets")(info.offsets.filter(
    (other) => offsets.includes(other) !== (other === offset)));
  const known = info.sample_users.includes(user);
  return html`<section class="settings" aria-label="Request">
    <label>Sample user<select value=${known ? user : ""} onChange=${(event) => onUser(event.target.value)}>
      <option value="">${user && !known ? user : "nobody"}</option>
      ${info.sample_users.map((name) => html`<option key=${name} value=${name}>${name}</option>`)}
    </select></label>
    <label>Surface<select value=${surface} onChange=${(event) => change("surface")(event.target.value)}
      disabled=${!info.conditioned}>
      <option value="">any</option>
      ${info.surfaces.slice(1).map((name) => html`<option key=${name} value=${name}>${name}</option>`)}
    </select></label>
    <${Whole} label="Candidates" value=${candidates} most=${limits.candidates} onChange=${change("candidates")} />
    <${Whole} label="Steps" value=${steps} most=${limits.steps} onChange=${change("steps")} />
    <fieldset disabled=${!info.conditioned}><legend>Vectors per outcome and step</legend>
      ${info.offsets.map((offset) => html`<label class="check" key=${offset}><input type="checkbox"
        checked=${offsets.includes(offset)} disabled=${offsets.length === 1 && offsets[0] === offset}
        onChange=${() => turn(offset)} />${offsetName(offset)}</label>`)}
    </fieldset>
  </section>`;
}

function Search({ info, onAdd }) {
  const [text, setText] = useState("");
  const [action, setAction] = useState(info.actions[0]);
  const [found, setFound] = useState(null);
  const [message, setMessage] = useState("");
  const find = async (event) => {
    event.preventDefault();
    try {
      const own = await call("GET", `/v1/items?limit=${FOUND}&query=${encodeURIComponent(text)}`);
      setFound(own);
      setMessage(own.total ? `${count(own.total, "item")} found` : "No item has this in its id, title or attributes.");
    } catch (error) { setMessage(error.message); }
  };
  return html`<form onSubmit=${find}>
    <label for="search">Add an event: find an item by id, title or attribute</label>
    <div class="row"><input id="search" type="search" value=${text}
      onInput=${(event) => setText(event.target.value)} /><button type="submit">Find</button></div>
    <p role="status" class="small">${message}</p>
    ${found && found.items.length > 0 && html`
      <label class="inline">Action of the event <select value=${action}
        onChange=${(event) => setAction(event.target.value)}>
        ${info.actions.map((name) => html`<option key=${name} value=${name}>${name}</option>`)}
      </select></label>
      <ul aria-label="items found">${found.items.map((one) => html`<li class="item" key=${one.item}>
        <${Item} item=${one.item} about=${one} />
        <button type="button" class="plain" aria-label=${`add ${one.title || one.item}`}
          onClick=${() => onAdd(one, action)}>Add</button></li>`)}</ul>`}
  </form>`;
}

function Other({ onUser }) {
  const [text, setText] = useState("");
  const load = (event) => { event.preventDefault(); if (text.trim()) onUser(text.trim()); };
  return html`<form onSubmit=${load}><label for="other">Or load the history of another user</label>
    <div class="row"><input id="other" type="text" autocomplete="off" placeholder="user id" value=${text}
      onInput=${(event) => setText(event.target.value)} /><button type="submit">Load</button></div></form>`;
}

const when = (time) => new Date(1000 * time).toISOString().slice(0, 16).replace("T", " ");

export function History({ info, user, events, known, answer, titles, onUser, onEvents }) {
  const latest = events.map((event, place) => [event, place]).reverse().slice(0, RECENT);
  return html`<section aria-labelledby="history">
    <div class="head"><h2 id="history">History: ${count(events.length, "event")}</h2>
      <button type="button" class="plain" disabled=${!events.length}
        onClick=${() => onEvents([])}>Empty</button></div>
    ${user && !known && html`<p class="note" role="status">The server knows no events of ${user}.</p>`}
    ${!events.length && html`<p class="note">Without a history, the list depends on the budget alone.
      Add events below, or pick a user.</p>`}
    ${answer && answer.events_read < events.length && html`<p class="note">
      The model reads ${answer.events_read} of them${answer.events_dropped > 0 ? ", the latest ones" : ""}.</p>`}
    ${answer && answer.unknown_items?.length > 0 && html`<p class="note">
      The catalog does not have ${answer.unknown_items.join(", ")}.</p>`}
    ${latest.length > 0 && html`<ol class="list short" aria-label="history, latest first" tabindex="0">
      ${latest.map(([event, place]) => html`<li class="item" key=${place}>
        <${Item} item=${event.item} about=${titles[event.item]}>
          <span class="small block">${[event.time && when(event.time), event.surface,
            (event.actions || []).join(", ") || "shown only"].filter(Boolean).join(" · ")}</span><//>
        <button type="button" class="plain" aria-label=${`remove event ${place + 1}`}
          onClick=${() => onEvents(events.filter((_, other) => other !== place))}>×</button></li>`)}
    </ol>`}
    ${events.length > RECENT && html`<p class="small">
      ${count(events.length - RECENT, "older event")} not shown.</p>`}
    <${Search} info=${info} onAdd=${(one, action) => onEvents(
      [...events, { item: one.item, actions: [action] }], { [one.item]: one })} />
    <${Other} onUser=${onUser} />
  </section>`;
}

function Move({ places }) {
  if (places === null) return html`<span class="entered block">new</span>`;
  if (!places) return null;
  return html`<span class="small block">${places > 0 ? "▲" : "▼"}${Math.abs(places)}</span>`;
}

export function Recommendations({ info, answer, before, titles }) {
  const list = answer.candidates;
  const ids = list.map((one) => String(one.item)), now = new Set(ids);
  const rank = new Map((before || []).map((item, place) => [item, place]));
  const left = (before || []).filter((item) => !now.has(item));
  const entered = before ? ids.filter((item) => !rank.has(item)) : [];
  const move = (item, place) => before && (rank.has(item) ? rank.get(item) - place : null);
  return html`<section aria-labelledby="list">
    <h2 id="list">Recommended: ${count(list.length, "item")}</h2>
    <p role="status" id="changes">${before
      ? html`<span class="entered">${entered.length} entered</span> and
        <span class="left"> ${left.length} left</span> since the last position`
      : "Move a share to see what enters and leaves."}</p>
    ${left.length > 0 && html`<details><summary>What left</summary>
      <ul aria-label="items that left">${left.map((item) => html`<li class="item gone" key=${item}>
        <${Item} item=${item} about=${titles[item]} /></li>`)}</ul></details>`}
    ${!list.length && html`<p class="note">No item is left to recommend.</p>`}
    <ol class="list" aria-label="recommended items" tabindex="0">
      ${list.map((one, place) => html`<li key=${one.item}
        class=${entered.includes(ids[place]) ? "item ranked is-new" : "item ranked"}>
        <span class="rank">${place + 1}${before && html`<${Move} places=${move(ids[place], place)} />`}</span>
        <${Item} item=${one.item} about=${titles[one.item]} />
        <span class="tag"><${Dot} info=${info} outcome=${one.outcome} />${vectorName(one)}</span>
      </li>`)}
    </ol>
  </section>`;
}

export function Comparison({ answer, twin, popularity, titles }) {
  const own = new Set(answer.candidates.map((one) => String(one.item)));
  const column = (name, items) => {
    const both = items.filter((item) => own.has(String(item))).length;
    return html`<div><h3>${name}</h3>
      <p>${both} of ${items.length} are in the list</p>
      <div class="bar plain-bar" aria-hidden="true"><span
        style=${{ width: `${items.length ? 100 * both / items.length : 0}%` }}></span></div>
      <ol class="list short" aria-label=${name} tabindex="0">${items.map((item, place) => html`
        <li key=${item} class="item ranked"><span class="rank">${place + 1}</span>
          <${Item} item=${item} about=${titles[item]} brief>${own.has(String(item))
            && html` <span class="tag">in both</span>`}<//></li>`)}</ol></div>`;
  };
  return html`<section aria-labelledby="comparison">
    <h2 id="comparison">Other lists for the same history</h2>
    <div class="columns">
      ${twin ? column("Unconditioned twin", twin)
        : html`<div><h3>Unconditioned twin</h3><p class="note">This server has none.
          Train one with train.twin, and index again.</p></div>`}
      ${column("Popularity", popularity)}
    </div>
  </section>`;
}

export function Latency({ milliseconds, roundTrip, drags }) {
  const stages = ["model", "search", "merge", "lists beside it"];
  const shown = stages.map((stage) => [stage, milliseconds[stage] || 0]);
  const known = shown.reduce((sum, [, value]) => sum + value, 0);
  shown.push(["network, queue and JSON", Math.max(0, roundTrip - known)], ["round trip", roundTrip]);
  const sorted = [...drags].sort((one, other) => one - other);
  return html`<section aria-labelledby="latency">
    <h2 id="latency">Latency</h2>
    <table><thead><tr><th scope="col">stage</th><th scope="col" class="number">ms</th></tr></thead>
      <tbody>${shown.map(([stage, value]) => html`<tr key=${stage}>
        <td>${stage}</td><td class="number">${value.toFixed(1)}</td></tr>`)}</tbody></table>
    <p id="drags">${sorted.length
      ? `From a drag to the new list: ${Math.round(sorted[sorted.length >> 1])} ms, the median of ${sorted.length}.`
      : "Move a share to measure the time to the new list."}</p>
  </section>`;
}

export function Curl({ body }) {
  const text = `curl -s ${location.origin}/v1/retrieve \\\n  -H 'content-type: application/json' \\\n`
    + (hasToken() ? "  -H \"authorization: Bearer $PINREC_TOKEN\" \\\n" : "")
    + `  -d '${JSON.stringify(body).replaceAll("'", "'\\''")}'`;
  const [copied, setCopied] = useState("");
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setCopied("Copied.");
    } catch { setCopied("The browser does not allow it; select the text instead."); }
  };
  return html`<section aria-labelledby="curl">
    <div class="head"><h2 id="curl">The same request with curl</h2>
      ${navigator.clipboard && html`<button type="button" class="plain" onClick=${copy}>Copy</button>`}</div>
    <pre tabindex="0" role="region" aria-label="curl command">${text}</pre>
    <p role="status" class="small">${copied}</p>
    <p><a href="/docs">All calls</a></p>
  </section>`;
}
