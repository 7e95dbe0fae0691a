/** The HTTP API in the shape that the board uses: every failure is an ApiError with one sentence to show. */

/** `status` 0 means that the server did not answer at all. */
export class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

const NO_ANSWER = "The server does not answer. Nothing is lost: what you ranked stays here until it is back.";

/** The sentence of an error answer, whatever shape it has. */
async function sentence(response) {
  let detail = null;
  try {
    detail = (await response.json()).detail;
  } catch {
    // not JSON: a proxy's page, or nothing at all
  }
  if (typeof detail === "string" && detail) return detail;
  if (Array.isArray(detail) && detail[0]?.msg) {
    const field = (detail[0].loc ?? []).filter((part) => part !== "body").join(" ");
    return field ? `${field}: ${detail[0].msg}` : detail[0].msg;
  }
  return `The server answered ${response.status}${response.statusText ? ` (${response.statusText})` : ""}. Try again.`;
}

/**
 * A client of the API below `base`.
 * @param {string} base for example "/hps/v1", or a whole URL
 */
export function makeApi(base) {
  const root = new URL(base.replace(/\/$/, ""), document.baseURI);

  async function call(method, path, body) {
    const isForm = body instanceof FormData;
    const options = { method, headers: isForm || body === undefined ? {} : { "Content-Type": "application/json" } };
    if (body !== undefined) options.body = isForm ? body : JSON.stringify(body);
    let response;
    try {
      response = await fetch(root.href + path, options);
    } catch {
      throw new ApiError(NO_ANSWER, 0);
    }
    if (!response.ok) throw new ApiError(await sentence(response), response.status);
    return response.json();
  }

  const session = (id) => `/sessions/${encodeURIComponent(id)}`;
  return {
    list: () => call("GET", "/sessions"),
    create: (body) => call("POST", "/sessions", body),
    state: (id) => call("GET", session(id)),
    act: (id, verb, body = {}) => call("POST", `${session(id)}/${verb}`, body),
    remove: (id) => call("DELETE", session(id)),
    restore: (id) => call("POST", `/trash/${encodeURIComponent(id)}/restore`, {}),
    scorers: () => call("GET", "/scorers"),
    options: () => call("GET", "/options"),
    setOptions: (body) => call("POST", "/options", body),
    exportUrl: (id) => `${root.href}${session(id)}/export`,
    importZip(file) {
      const form = new FormData();
      form.append("file", file);
      return call("POST", "/sessions/import", form);
    },
    /** A picture's address as the page may use it: the API's own prefix, whatever the host mounts it under. */
    picture(path) {
      if (!path) return "";
      const own = path.indexOf("/hps/v1/");
      const url = new URL(own >= 0 ? root.href + path.slice(own + "/hps/v1".length) : path, root);
      return ["http:", "https:", "blob:"].includes(url.protocol) ? url.href : "";
    },
  };
}

/** Do it; a failure of the API is said. */
export async function attempt(toast, work) {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return toast(error.message, { isError: true });
  }
}
