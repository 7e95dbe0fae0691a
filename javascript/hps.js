/** Puts the ranking board into the script's form; its Next presses the WebUI's own Generate. */
(() => {
  const BOARD = "./hps/v1/board/static/";
  const SESSION = "hps-session-"; // in the tab's own storage: two tabs may have two sessions
  const ON_SCREEN = "hps-on-screen-";
  const DRAWN_BY_HOST = ["draw", "mixed", "auto", "finish"];
  const TITLE = "HPS"; // of the script, as in lib_hps/hosts/webui/options.py
  const LOOK_MS = 250;
  const PATIENCE_MS = 20000; // for the host to begin after the click, or to put the last result on the page
  const WIRED_MS = 1000; // between two questions whether the page's events are wired
  const RETRY_MS = 3000; // after a board that could not be loaded
  const PASTES = 3; // behind a reload, as long as nothing comes of it
  const USER_MS = 150; // a focus that moves so soon after a key or a click was moved by the user
  const TABS = ["txt2img", "img2img"];

  const find = (selector) => gradioApp().querySelector(selector);
  const wait = (ms) => new Promise((done) => setTimeout(done, ms));
  const isShown = (node) => Boolean(node) && getComputedStyle(node).display !== "none";

  /** Wait until `isSo()`, at most as long as patience goes; says whether it is. */
  async function until(isSo, patienceMs = PATIENCE_MS) {
    const end = performance.now() + patienceMs;
    while (!isSo() && performance.now() < end) await wait(50);
    return isSo();
  }

  /** Date, time and six characters, as the server makes them. */
  function newId() {
    const stamp = new Date().toISOString().replace(/[-:]/g, "").replace("T", "-").slice(0, 15);
    const letters = crypto.getRandomValues(new Uint8Array(6));
    return `${stamp}-${[...letters].map((each) => (each % 36).toString(36)).join("")}`;
  }

  /** The controls of one of the two tabs. */
  function makeForm(tab) {
    const box = (name) => find(`#script_${tab}_hps_${name} textarea, #script_${tab}_hps_${name} input`);
    function write(name, value) {
      const node = box(name);
      node.value = value;
      updateInput(node);
    }
    const isRunning = () => isShown(find(`#${tab}_interrupt`)) || isShown(find(`#${tab}_interrupting`));
    return {
      tab,
      write,
      isRunning,
      host: () => find(`.hps-host[data-tab=${tab}]`),
      modes: () => [...gradioApp().querySelectorAll(`#script_${tab}_hps_mode input`)],
      read: (name) => box(name)?.value ?? "",
      prompt: () => find(`#${tab}_prompt textarea`),
      button: () => find(`#${tab}_generate`),
      interrupt: () => find(`#${tab}_interrupt`).click(),
      error: () => find(`#html_log_${tab} .error`)?.textContent ?? "",
      paste: () => find(`#${tab}_tools #paste`)?.click(),
      /** Whether the script and its mode "Rank" are chosen, also while another tab of the page is looked at. */
      isChosen() {
        const script = find(`#${tab}_script_container #script_list input, #${tab}_script_container #script_list select`);
        const mode = find(`#script_${tab}_hps_mode input:checked`);
        return script?.value === TITLE && mode?.value === "Rank";
      },
    };
  }

  /** The API, with what draws replaced by a press of Generate. */
  function throughGenerate(api, form, ApiError) {
    async function press(id, task) {
      const isFree = await until(() => !form.isRunning()); // pictures are on the board a moment before the host is done
      if (!isFree) throw new ApiError("The WebUI is busy. Wait for it, or interrupt it first.", 400);
      form.write("session", id);
      form.write("task", JSON.stringify(task));
      await wait(50); // gradio takes the texts in
      form.isOurs = true;
      form.button().click();
      form.isOurs = false;
      try {
        return await begun(id);
      } finally {
        form.write("task", "");
      }
    }

    /** The state as soon as the host draws for it, or is done already. */
    async function begun(id) {
      const end = performance.now() + PATIENCE_MS;
      let wasRunning = false;
      for (;;) {
        wasRunning ||= form.isRunning();
        await wait(LOOK_MS);
        const isOver = wasRunning ? !form.isRunning() : performance.now() > end;
        const state = await api.state(id).catch((error) => (error.status === 404 ? null : Promise.reject(error)));
        if (state?.task) return state;
        if (!isOver) continue;
        await wait(LOOK_MS); // the words below the gallery come a moment later
        if (form.error()) throw new ApiError(form.error(), 400);
        if (!state) throw new ApiError("The WebUI began no session. Its log says why.", 400);
        return api.state(id);
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

  /** Fill the form with a session's settings, by way of the WebUI's own paste button; gives what was put into the prompt for it. */
  async function takeOver(base, form, id) {
    const response = await fetch(`${base}/sessions/${id}/form`);
    if (!response.ok) return null;
    const { infotext } = await response.json();
    const prompt = form.prompt();
    prompt.value = infotext;
    updateInput(prompt);
    await wait(50);
    form.paste();
    return infotext;
  }

  const baseUrl = () => new URL("../..", new URL(BOARD, document.baseURI)).href.replace(/\/$/, "");

  /** A place for the board that takes no looks from the page, and gives it none. */
  async function makePlace(host, href) {
    host.replaceChildren();
    const shadow = host.shadowRoot ?? host.attachShadow({ mode: "open" });
    const look = Object.assign(document.createElement("link"), { rel: "stylesheet", href: `${href}board.css` });
    const place = document.createElement("div");
    const isLoaded = new Promise((done) => (look.onload = look.onerror = done));
    shadow.replaceChildren(look, place);
    await isLoaded;
    return place;
  }

  /** Wait for a user whom the server knows; on a 401 the browser itself asks for the password of --api-auth. */
  async function letIn(form) {
    while ((await fetch(`${baseUrl()}/version`)).status === 401) {
      const words = "The board is behind the password of the WebUI's API (--api-auth), or your login has ended.";
      const text = Object.assign(document.createElement("p"), { textContent: `${words} Log in, or reload the page.` });
      const button = Object.assign(document.createElement("button"), { textContent: "Log in", type: "button" });
      button.className = "lg secondary gradio-button";
      form.host().replaceChildren(text, button);
      await new Promise((pressed) => button.addEventListener("click", pressed, { once: true }));
    }
  }

  async function begin(form) {
    const { href } = new URL(BOARD, document.baseURI);
    const base = baseUrl();
    await letIn(form);
    const [{ mount }, { ApiError }] = await Promise.all([import(`${href}board.js`), import(`${href}api.js`)]);
    const kept = SESSION + form.tab;
    let open = null;
    const board = mount(await makePlace(form.host(), href), {
      api: base,
      hash: false,
      isEmbedded: true,
      prompt: () => form.prompt().value,
      through: (api) => throughGenerate(api, form, ApiError),
      opened(id, { isNew }) {
        open = id;
        if (id) sessionStorage.setItem(kept, id);
        else sessionStorage.removeItem(kept);
        if (form.read("session") === (id ?? "")) return; // begun here, or pasted
        form.write("session", id ?? "");
        if (id && !isNew && !form.isRunning()) takeOver(base, form, id);
      },
    });
    keepFocus(form, board);
    const id = form.read("session") || sessionStorage.getItem(kept);
    if (id) await board.open(id);
    form.button().addEventListener("click", (event) => startByGenerate(event, form, board, open), true);
    let wasRunning = false;
    setInterval(() => {
      follow(form, board, open);
      if (form.isRunning() !== wasRunning) board.refresh(); // somebody pressed Generate
      wasRunning = form.isRunning();
    }, LOOK_MS);
  }

  /** The gallery takes the focus with every result; the board's keys would be dead after each round. */
  function keepFocus(form, board) {
    let touched = 0;
    let isOurs = false; // the last thing that the user touched was the board
    const note = (event) => {
      touched = performance.now();
      isOurs = event.composedPath().includes(board.root);
    };
    for (const name of ["pointerdown", "keydown"]) document.addEventListener(name, note, { capture: true, passive: true });
    document.addEventListener("focusin", ({ target }) => {
      const isTheirs = find(`#${form.tab}_results`)?.contains(target);
      if (isOurs && isTheirs && performance.now() - touched > USER_MS) board.root.focus({ preventScroll: true });
    });
  }

  /** Without a session on the board, the host's own Generate begins one, as Start does. */
  function startByGenerate(event, form, board, open) {
    if (form.isOurs || open || !form.isChosen() || form.isRunning()) return;
    event.stopImmediatePropagation();
    event.preventDefault();
    board.start();
  }

  /** A session that was pasted is opened on the board. */
  function follow(form, board, open) {
    const named = form.read("session");
    if (named && named !== open && !form.isRunning() && form.isChosen() && !form.asked?.has(named)) {
      (form.asked ??= new Set()).add(named); // once: it may be gone
      board.open(named).then((state) => state && form.asked.delete(named));
    }
  }

  const mounted = new Set();

  /** Where the mode "Rank" was chosen for the first time: nothing is loaded before that. */
  function look(forms) {
    for (const form of forms) {
      remember(form);
      if (mounted.has(form.tab) || !form.host()?.offsetParent) continue;
      mounted.add(form.tab);
      begin(form).catch((error) => {
        console.error("HPS:", error);
        setTimeout(() => mounted.delete(form.tab), RETRY_MS);
      });
    }
  }

  /** Note whether the board is on the screen; while the page goes ("Reloading...") there is no form to ask. */
  function remember(form) {
    if (!form.isRestored || !form.modes().length) return;
    if (form.isChosen()) sessionStorage.setItem(ON_SCREEN + form.tab, "yes");
    else sessionStorage.removeItem(ON_SCREEN + form.tab);
  }

  /** Wait until the WebUI answers to what happens on its page: it wires all of it at once, some time after it is there. */
  async function wired(form) {
    while (!form.read("ready")) {
      form.write("asked", String(performance.now()));
      await until(() => form.read("ready"), WIRED_MS);
    }
  }

  /**
   * Behind a reload of the page, or a restart of the server, the board is on the screen again where it was. There is one
   * paste and no second one beside it: hosts count through their scripts while they paste, and would hide the script.
   */
  async function restore(form) {
    const id = sessionStorage.getItem(SESSION + form.tab);
    if (!id || !sessionStorage.getItem(ON_SCREEN + form.tab)) return;
    const text = form.prompt().value;
    await wired(form);
    if (form.prompt().value !== text || form.read("session") === id || form.isRunning()) return;
    let pasted = await takeOver(baseUrl(), form, id);
    if (pasted === null) return; // there is no such session any more
    const isDone = () => form.read("session") === id;
    for (let pastes = 1; !(await until(isDone)) && pastes < PASTES; pastes++) {
      if (form.prompt().value !== pasted || form.isRunning()) return; // the user went on
      pasted = await takeOver(baseUrl(), form, id);
    }
  }

  onUiLoaded(() => {
    const forms = TABS.map(makeForm);
    for (const form of forms) restore(form).finally(() => (form.isRestored = true));
    window.addEventListener("pagehide", () => forms.forEach(remember));
    setInterval(() => look(forms), LOOK_MS);
  });
})();
