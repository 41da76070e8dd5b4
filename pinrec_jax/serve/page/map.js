// The map: two principal components of the item space, drawn on a canvas.
import { html, useEffect, useRef, useState } from "/page/preact-htm.js";

import { colorOf, vectorName } from "/page/names.js";

const EDGE = 18; // Pixels around the points.
const NEAR = 14; // Pixels within which a point is pointed at.

// Returns the function from a place on the map to pixels.
function projection(places, width, height) {
  const range = (axis) => {
    const values = places.map((place) => place[axis]);
    return [Math.min(...values), Math.max(...values)];
  };
  const [left, right] = range(0), [low, high] = range(1);
  return ([x, y]) => [
    EDGE + (width - 2 * EDGE) * (x - left) / (right - left || 1),
    height - EDGE - (height - 2 * EDGE) * (y - low) / (high - low || 1),
  ];
}

function disc(pen, [x, y], radius) {
  pen.beginPath();
  pen.arc(x, y, radius, 0, 2 * Math.PI);
  pen.fill();
}

function cross(pen, [x, y], size) {
  pen.beginPath();
  pen.moveTo(x - size, y - size);
  pen.lineTo(x + size, y + size);
  pen.moveTo(x + size, y - size);
  pen.lineTo(x - size, y + size);
  pen.stroke();
}

const sameVector = (one, other) =>
  one.outcome === other.outcome && one.step === other.step
  && (one.offset ?? -1) === (other.offset ?? -1);

// Draws the map, and returns its points with a text each.
function draw(canvas, info, found, zoomed, titleOf) {
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(name);
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  const { map } = found, { candidates } = found.answer;
  const own = [...map.history, ...map.items, ...map.vectors.map((vector) => vector.at)];
  const all = zoomed && own.length > 1 ? own : [...info.background, ...own];
  if (!all.length) return [];
  const place = projection(all, width, height);
  const points = [];
  pen.globalAlpha = 0.45;
  pen.fillStyle = color("--faint");
  info.background.forEach((at) => {
    const [x, y] = place(at);
    pen.fillRect(x - 1, y - 1, 2, 2);
  });
  map.items.forEach((at, n) => {
    const one = candidates[n], [x, y] = place(at);
    const vector = map.vectors.find((other) => sameVector(other, one));
    pen.fillStyle = pen.strokeStyle = color(colorOf(info, one.outcome));
    pen.globalAlpha = 0.25;
    pen.lineWidth = 1;
    if (vector) {
      pen.beginPath();
      pen.moveTo(...place(vector.at));
      pen.lineTo(x, y);
      pen.stroke();
    }
    pen.globalAlpha = 0.85;
    disc(pen, [x, y], 4);
    points.push({ x, y, text: `${n + 1}. ${titleOf(one.item)}` });
  });
  pen.globalAlpha = 1;
  pen.lineWidth = 1.4;
  pen.strokeStyle = color("--ink");
  map.history.forEach((at, n) => {
    const [x, y] = place(at);
    pen.strokeRect(x - 3, y - 3, 6, 6);
    points.push({ x, y, text: `history: ${titleOf(map.history_items[n])}` });
  });
  map.vectors.forEach((vector) => {
    const [x, y] = place(vector.at);
    pen.strokeStyle = color("--card");
    pen.lineWidth = 7;
    cross(pen, [x, y], 8);
    pen.strokeStyle = color(colorOf(info, vector.outcome));
    pen.lineWidth = 3.5;
    cross(pen, [x, y], 7);
    points.push({ x, y, text: `vector: ${vectorName(vector)}` });
  });
  return points;
}

// Returns the point under the pointer, the topmost of equally near ones.
function pointed(points, x, y) {
  let best = null, least = NEAR;
  points.forEach((point) => {
    const far = Math.hypot(point.x - x, point.y - y);
    if (far <= least) { best = point; least = far; }
  });
  return best;
}

export function PcaMap({ info, found, titleOf }) {
  const canvas = useRef(null), points = useRef([]);
  const [hint, setHint] = useState(null);
  const [zoomed, setZoomed] = useState(true);
  useEffect(() => {
    const redraw = () => {
      if (canvas.current) points.current = draw(canvas.current, info, found, zoomed, titleOf);
    };
    redraw();
    setHint(null);
    const scheme = window.matchMedia("(prefers-color-scheme: dark)");
    window.addEventListener("resize", redraw);
    scheme.addEventListener("change", redraw);
    return () => {
      window.removeEventListener("resize", redraw);
      scheme.removeEventListener("change", redraw);
    };
  }, [info, found, zoomed]);
  const point = (event) => setHint(pointed(points.current, event.offsetX, event.offsetY));
  const { map } = found;
  const right = hint && canvas.current && hint.x > canvas.current.clientWidth / 2;
  return html`<section aria-labelledby="map">
    <div class="head"><h2 id="map">Map of the items</h2>
      <button type="button" class="plain" aria-pressed=${!zoomed}
        onClick=${() => setZoomed(!zoomed)}>All items</button></div>
    <div class="map">
      <canvas ref=${canvas} role="img" aria-label=${`first two principal components, with `
        + `${map.history.length} items of the history, ${map.vectors.length} generated vectors and `
        + `${map.items.length} recommended items`}
        onPointerMove=${point} onPointerLeave=${() => setHint(null)}></canvas>
      ${hint && html`<span class="hint" style=${{ top: `${hint.y + 8}px`,
        ...(right ? { right: `${canvas.current.clientWidth - hint.x}px` } : { left: `${hint.x}px` }) }}>
        ${hint.text}</span>`}
    </div>
    <p class="legend"><span>□ history</span><span>✕ generated vector</span>
      <span>● recommended, in the color of its outcome</span><span>· other items</span></p>
  </section>`;
}
