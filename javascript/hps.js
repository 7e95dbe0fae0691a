/** Puts the ranking board into the script's form; its Next presses the WebUI's own Generate. */
(() => {
  const BOARD = "./hps/v1/board/static/";
  const SESSION = "hps-session-"; // in the tab's own storage: two tabs may have two sessions
  const DRAWN_BY_HOST = ["draw", "mixed", "auto", "finish"];
  const LOOK_MS = 300;
  const PATIENCE_MS = 15000; // for the host to begin after the click

  const find = (selector) => gradioApp().querySelector(selector);
  const wait = (ms) => new Promise((done) => setTimeout(done, ms));
  const isShown = (node) => Boolean(node) && getComputedStyle(node).display !== "none";

  /** Date, time and six characters, as the server makes them. */
  function newId() {
    const stamp = new Date().toISOString().replace(/[-:]/g, "").replace("T", "-").slice(0, 15);
    const letters = crypto.getRandomValues(new Uint8Array(6));
    return `${stamp}-${[...letters].map((each) => (each % 36).toString(36)).join("")}`;
  }

  /** The controls of one of the two tabs. */
  function makeForm(host) {
    const tab = host.dataset.tab;
    const box = (name) => find(`#${host.id.replace(/board$/, name)} textarea, #${host.id.replace(/board$/, name)} input`);
    function write(name, value) {
      const node = box(name);
      node.value = value;
      updateInput(node);
    }
    return {
      tab,
      write,
      read: (name) => box(name).value,
      prompt: () => find(`#${tab}_prompt textarea`),
      generate: () => find(`#${tab}_generate`).click(),
      interrupt: () => find(`#${tab}_interrupt`).click(),
      isRunning: () => isShown(find(`#${tab}_interrupt`)) || isShown(find(`#${tab}_interrupting`)),
      error: () => find(`#html_log_${tab} .error`)?.textContent ?? "",
      paste: () => find(`#${tab}_tools #paste`)?.click(),
    };
  }

  /** The API, with what draws replaced by a press of Generate. */
  function throughGenerate(api, form, ApiError) {
    async function press(id, task) {
      if (form.isRunning()) throw new ApiError("The WebUI is busy. Wait for it, or interrupt it first.", 400);
      form.write("session", id);
      form.write("task", JSON.stringify(task));
      await wait(50); // gradio takes the texts in
      form.generate();
      const state = await begun(id);
      form.write("task", "");
      return state;
    }

    /** The state as soon as the host draws for it, or is done already. */
    async function begun(id) {
      const until = performance.now() + PATIENCE_MS;
      let wasRunning = false;
      for (;;) {
        await wait(LOOK_MS);
        wasRunning ||= form.isRunning();
        const isOver = wasRunning ? !form.isRunning() : performance.now() > until;
        const state = await api.state(id).catch((error) => (error.status === 404 ? null : Promise.reject(error)));
        if (state?.task) return state;
        if (!isOver) continue;
        if (form.error()) throw new ApiError(form.error(), 400);
        if (!state) throw new ApiError("The WebUI began no session. Its log says why.", 400);
        return state;
      }
    }

    return {
      ...api,
      create: ({ settings: _, ...made }) => press(newId(), { do: "draw", new: made }),
      act(id, verb, body = {}) {
        if (verb === "cancel" && form.isRunning()) form.interrupt();
        return DRAWN_BY_HOST.includes(verb) ? press(id, { ...body, do: verb }) : api.act(id, verb, body);
      },
    };
  }

  /** Fill the form with a session's settings, by way of the WebUI's own paste button. */
  async function takeOver(base, form, id) {
    const response = await fetch(`${base}/sessions/${id}/form`);
    if (!response.ok) return;
    const { infotext } = await response.json();
    const prompt = form.prompt();
    prompt.value = infotext;
    updateInput(prompt);
    await wait(50);
    form.paste();
  }

  async function begin(host) {
    const form = makeForm(host);
    const at = new URL(BOARD, document.baseURI);
    const base = new URL("../..", at).href.replace(/\/$/, "");
    const [{ mount }, { ApiError }] = await Promise.all([import(`${at.href}board.js`), import(`${at.href}api.js`)]);
    if (!document.querySelector("link[data-hps]")) {
      const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href: `${at.href}board.css` });
      link.dataset.hps = "";
      document.head.append(link);
    }
    const kept = SESSION + form.tab;
    let open = sessionStorage.getItem(kept);
    const board = mount(host, {
      api: base,
      hash: false,
      isEmbedded: true,
      prompt: () => form.prompt().value,
      through: (api) => throughGenerate(api, form, ApiError),
      opened(id, { isNew }) {
        open = id;
        if (id) sessionStorage.setItem(kept, id);
        else sessionStorage.removeItem(kept);
        form.write("session", id ?? "");
        if (id && !isNew && !form.isRunning()) takeOver(base, form, id);
      },
    });
    if (open) await board.open(open);
    setInterval(() => follow(form, board, () => open), 1000);
  }

  /** A session that was pasted, or begun by the host's own Generate, is opened on the board. */
  function follow(form, board, open) {
    const named = form.read("session");
    if (named && named !== open() && !form.isRunning()) board.open(named);
  }

  const mounted = new Set();

  /** Where the mode "Rank" was chosen for the first time: nothing is loaded before that. */
  function look() {
    for (const host of gradioApp().querySelectorAll(".hps-host[data-tab]")) {
      if (mounted.has(host.id) || !host.offsetParent) continue;
      mounted.add(host.id);
      begin(host).catch((error) => {
        mounted.delete(host.id);
        console.error("HPS:", error);
      });
    }
  }

  onUiLoaded(() => setInterval(look, LOOK_MS));
})();
