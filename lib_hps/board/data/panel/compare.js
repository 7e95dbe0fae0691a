/** One question after the other: click or keys 1-4, 0 for equal, U to take back. The next question is there already. */

import { ask, complain, h } from "./dom.js";

const at = (id) => document.getElementById(id);
let present = null;
/** Questions that come next: the one that is loading, and before it what an undo has put off. */
let ahead = [];
let isBusy = false;

/** Ask for a question and load its pictures, so that they appear without waiting. */
async function prepare(anew = false) {
  const found = await ask("questions", { anew });
  for (const key of found.question?.pictures ?? []) new Image().src = `pictures/${key}`;
  return found;
}

function count(answered) {
  at("count").textContent = `${answered} answered`;
  at("undo").disabled = answered === 0;
}

function show(found) {
  present = found.question;
  const pictures = present?.pictures ?? [];
  at("prompt").textContent = present ? present.prompt || "Whatever the prompt was" : found.is_drawing ? "Drawing more pictures ..." : "Everything was asked. Thank you.";
  at("stage").className = `stage${{ 3: " three", 4: " four" }[pictures.length] ?? ""}`;
  at("stage").replaceChildren(
    ...pictures.map((key, place) => {
      const image = h("img", { src: `pictures/${key}`, alt: "", onload: () => image.classList.toggle("tiny", image.naturalWidth < 100) });
      return h("button", { type: "button", class: "picture", "aria-label": `Picture ${place + 1}`, onclick: () => answer([[place]]) }, image, h("span", { class: "mark" }, String(place + 1)));
    }),
  );
  at("tie").hidden = !present;
  at("again").hidden = Boolean(present);
}

/** Do one thing at a time; a second key press while the first is on its way is none. */
async function alone(act) {
  if (isBusy) return;
  isBusy = true;
  try {
    await act();
    complain(null);
  } catch (error) {
    complain(error);
  } finally {
    isBusy = false;
  }
}

function answer(order) {
  return alone(async () => {
    if (!present) return;
    const { answered } = await ask("questions/answer", { token: present.token, order });
    count(answered);
    const next = await ahead.shift();
    show(next?.question ? next : await prepare());
    if (present && !ahead.length) ahead.push(prepare().catch(() => null));
  });
}

function undo() {
  return alone(async () => {
    const found = await ask("questions/undo", {});
    if (present) ahead.unshift({ question: present });
    count(found.answered);
    show(found);
  });
}

function start() {
  return alone(async () => {
    const found = await prepare(true);
    count(found.answered);
    show(found);
    ahead = present ? [prepare().catch(() => null)] : [];
    if (!present && found.is_drawing) setTimeout(start, 1000);
  });
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const place = "1234".indexOf(event.key);
  if (place >= 0 && place < (present?.pictures.length ?? 0)) answer([[place]]);
  else if (event.key === "0" || event.key === "=") answer([]);
  else if (event.key.toLowerCase() === "u" && !at("undo").disabled) undo();
});
at("tie").addEventListener("click", () => answer([]));
at("undo").addEventListener("click", undo);
at("again").addEventListener("click", start);
start();
