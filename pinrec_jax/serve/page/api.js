// Calls of the server. An error has a sentence for people, and `again` if the
// same call may succeed later.

const PATIENCE = 15_000; // Milliseconds until a call is given up.

let token = "";

export const setToken = (text) => { token = text; };
export const hasToken = () => token !== "";

function failure(message, status, again) {
  return Object.assign(new Error(message), { status, again });
}

// Returns the JSON of a call.
export async function call(method, path, body) {
  const headers = { "content-type": "application/json" };
  if (token) headers.authorization = `Bearer ${token}`;
  let response, text;
  try {
    response = await fetch(path, {
      method, headers, body: body && JSON.stringify(body), signal: AbortSignal.timeout(PATIENCE),
    });
    text = await response.text();
  } catch {
    throw failure("The server does not answer. This page tries again until it does.", 0, true);
  }
  let found = {};
  try { found = JSON.parse(text); } catch { /* The status says enough. */ }
  if (response.ok) return found;
  const { status } = response;
  throw failure(
    found.error ? `The server refused: ${found.error}.` : `The server answered with status ${status}.`,
    status, status === 429 || status === 503,
  );
}
