// The endpoints of the server, read from its OpenAPI document.
import { html, render, useEffect, useState } from "/page/preact-htm.js";

// Returns the JSON schema that a reference names, or the schema itself.
const resolved = (api, schema) =>
  schema && schema.$ref
    ? api.components.schemas[schema.$ref.split("/").pop()] : schema || {};

function kind(api, schema) {
  if (!schema) return "any";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.anyOf) return schema.anyOf.map((one) => kind(api, one)).join(" or ");
  if (schema.type === "array") return `list of ${kind(api, schema.items)}`;
  return schema.type || "any";
}

// Splits a description into its text and the meaning of each field.
function meanings(description = "") {
  const [text, fields = ""] = description.split(/\n\s*Attributes:\n/);
  const found = {};
  fields.replace(/\n\s{3,}/g, " ").split("\n").forEach((line) => {
    const [, name, meaning] = line.match(/^\s*(\w+): (.*)$/) || [];
    if (name) found[name] = meaning;
  });
  return { text, found };
}

function Fields({ api, schema }) {
  if (schema.anyOf) return schema.anyOf.map((one) => html`<${Fields} api=${api} schema=${one} />`);
  const own = resolved(api, schema);
  const names = Object.keys(own.properties || {});
  if (!names.length) return null;
  const { text, found } = meanings(own.description);
  return html`<p>${text}</p>
    <table><thead><tr><th scope="col">field</th><th scope="col">meaning</th></tr></thead>
    <tbody>${names.map((name) => html`<tr key=${name}><td><code>${name}</code>
        <span class="small block">${kind(api, own.properties[name])}${
          (own.required || []).includes(name) ? ", required" : ""}</span></td>
      <td>${found[name]}</td></tr>`)}</tbody></table>`;
}

function Operation({ api, path, method, operation, token }) {
  const content = operation.requestBody?.content?.["application/json"];
  const parameters = operation.parameters || [];
  const [values, setValues] = useState({});
  const [body, setBody] = useState(content ? JSON.stringify(content.example || {}, null, 2) : "");
  const [answer, setAnswer] = useState(null);
  const id = `${method}-${path}`;
  const send = async (event) => {
    event.preventDefault();
    let url = path;
    const query = new URLSearchParams();
    parameters.forEach((one) => {
      const value = values[one.name] ?? "";
      if (one.in === "path") url = url.replace(`{${one.name}}`, encodeURIComponent(value));
      else if (value) query.set(one.name, value);
    });
    const headers = { "content-type": "application/json" };
    if (token) headers.authorization = `Bearer ${token}`;
    try {
      const response = await fetch(`${url}${query.size ? `?${query}` : ""}`, {
        method: method.toUpperCase(), headers, body: content ? body : undefined,
      });
      setAnswer(`${response.status}\n${await response.text()}`);
    } catch { setAnswer("The server does not answer."); }
  };
  return html`<section aria-labelledby=${id}>
    <h2 id=${id}>${method.toUpperCase()} <code>${path}</code></h2>
    <p>${operation.summary}</p>
    ${content && html`<${Fields} api=${api} schema=${content.schema} />`}
    <details><summary>Try it</summary>
      <form onSubmit=${send}>
        ${parameters.map((one) => html`<label>${one.name}
          <input type="search" required=${one.in === "path"} value=${values[one.name] ?? ""}
            onInput=${(event) => setValues({ ...values, [one.name]: event.target.value })} />
        </label>`)}
        ${content && html`<label>body<br />
          <textarea rows="8" style=${{ width: "100%", fontFamily: "monospace" }} value=${body}
            onInput=${(event) => setBody(event.target.value)}></textarea></label>`}
        <p><button type="submit">Send</button></p>
      </form>
      ${answer !== null && html`<pre role="status" tabindex="0">${answer}</pre>`}
    </details>
  </section>`;
}

function Page() {
  const [api, setApi] = useState(null);
  const [token, setToken] = useState("");
  useEffect(() => {
    const headers = token ? { authorization: `Bearer ${token}` } : {};
    fetch("/openapi.json", { headers })
      .then((response) => (response.ok ? response.json() : Promise.reject(response)))
      .then(setApi)
      .catch(() => setApi(null));
  }, [token]);
  return html`<h1>Endpoints</h1>
    <p><a href="/">The remote control</a> · <a href="/openapi.json">OpenAPI document</a></p>
    <label>Token, if the server needs one
      <input type="password" autocomplete="off" value=${token}
        onInput=${(event) => setToken(event.target.value.trim())} /></label>
    ${!api && html`<p role="status">No document yet.</p>`}
    <div class="stack">${api && Object.entries(api.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => html`<${Operation}
        key=${path + method} api=${api} path=${path} method=${method}
        operation=${operation} token=${token} />`))}</div>`;
}

render(html`<${Page} />`, document.getElementById("page"));
