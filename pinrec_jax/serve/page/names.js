// Names and colors that people see.

export const UNSPECIFIED = "unspecified";
const COLORS = 10; // In page.css.
const OFFSETS = { "-1": "next event", 3600: "1 hour", 86400: "1 day", 604800: "1 week" };

// Returns the CSS variable of an outcome's color.
export function colorOf(info, outcome) {
  const place = [...info.outcomes, UNSPECIFIED].indexOf(outcome ?? UNSPECIFIED);
  return `--outcome-${Math.max(0, place) % COLORS}`;
}

export const offsetName = (offset) => OFFSETS[offset ?? -1] ?? `${offset} s`;

// Returns a vector's outcome, with offset and step if they are not the first.
export function vectorName({ outcome, offset, step }) {
  const ahead = offset > 0 ? `, ${offsetName(offset)}` : "";
  return `${outcome ?? UNSPECIFIED}${ahead}${step > 0 ? `, step ${step + 1}` : ""}`;
}

// Returns the attributes of an item that its title does not have already.
export function attributes({ title = "", features = {} }) {
  const texts = Object.entries(features)
    .filter(([, values]) => values.length)
    .map(([name, values]) => `${name.replaceAll("_", " ")} ${values.join(" and ")}`);
  const words = `${title},`;
  return texts.filter((text) => !words.includes(`${text},`));
}

export const count = (number, one, many = `${one}s`) =>
  `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
