/** Elements and requests; text always arrives as text nodes, never as markup. */

export function h(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "disabled" || key === "hidden") node[key] = Boolean(value);
    else if (value !== null && value !== undefined) node.setAttribute(key, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/** Ask the server, relative to this page; an error is thrown with the server's own sentence. */
export async function ask(path, body) {
  const options = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
  const answer = await fetch(path, options);
  const found = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(typeof found.detail === "string" ? found.detail : `The server answered ${answer.status}.`);
  return found;
}

/** Show an error's words until the next thing works. */
export function complain(error) {
  const place = document.getElementById("error");
  place.textContent = error ? error.message : "";
  place.hidden = !error;
}
