// Shares of a budget as whole percents, which always sum to 100.

// Returns whole numbers in proportion to weights that sum to a total. The
// largest remainders are rounded up; without any weight, all parts are equal.
export function whole(weights, total = 100) {
  const names = Object.keys(weights);
  const sum = names.reduce((all, name) => all + weights[name], 0);
  const exact = names.map((name) => total * (sum > 0 ? weights[name] / sum : 1 / names.length));
  const parts = exact.map(Math.floor);
  const rest = total - parts.reduce((all, part) => all + part, 0);
  exact
    .map((value, place) => [value - parts[place], place])
    .sort((one, other) => other[0] - one[0] || one[1] - other[1])
    .slice(0, rest)
    .forEach(([, place]) => { parts[place] += 1; });
  return Object.fromEntries(names.map((name, place) => [name, parts[place]]));
}

// Returns shares with one set to a value. The others share what is left, in the
// proportion that they have in `base`.
export function moved(base, name, value) {
  const { [name]: _, ...others } = base;
  const rest = whole(others, 100 - value);
  return Object.fromEntries(
    Object.keys(base).map((key) => [key, key === name ? value : rest[key]]),
  );
}

// Returns the budget of a request: the shares above 0 as fractions.
export function budget(shares) {
  return Object.fromEntries(
    Object.entries(shares).filter(([, share]) => share > 0)
      .map(([name, share]) => [name, share / 100]),
  );
}
