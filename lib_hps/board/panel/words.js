/** The board's longer sentences. */
import { ordinal } from "./dom.js";
import { words } from "./ranking.js";

const ENSEMBLE = "ensemble:";

/** What to do now, in one line. */
export function headline(ctl) {
  const { state, draft, mode } = ctl;
  if (state.task === "auto") return "A scorer ranks; the best so far is shown.";
  if (state.task === "mixed") return "The scorer looks for the best ones for you.";
  if (state.task === "finish") return "The winner is drawn larger.";
  if (state.task === "draw")
    return draft.tiers.length ? "Go on ranking while the others are drawn." : "The pictures are being drawn.";
  if (ctl.busy) return "One moment …";
  if (ctl.can().draw)
    return mode === "auto"
      ? "Press Run for more rounds, or draw the pictures and rank them yourself."
      : "The pictures are not drawn yet.";
  if (draft.none)
    return state.best ? "None is better than the best so far. Press Next." : "None of these is any good. Press Next.";
  if (ctl.tied()) return `The next one you pick shares the ${ordinal(draft.tiers.length)} place.`;
  const left = state.candidates.length - draft.tiers.flat().length;
  const isSuggested = state.ranking && JSON.stringify(state.ranking) === JSON.stringify(draft.tiers);
  if (isSuggested) return "This is the scorer's order. Change what you see differently, then press Next.";
  if (!draft.tiers.length) return "Which one do you like best? Click them in order of preference.";
  return left ? "Which one is next? Or press Next: the others count as worse." : "All are ranked. Press Next.";
}

/** What the other tab did, in one sentence. */
export function movedOn(state, round) {
  const answer = state.history.find((each) => each.round === round);
  const said = answer?.order?.length ? ` with ${words(answer.order)}` : "";
  const did = answer ? `Another tab answered round ${round}${said}` : "Another tab changed this session";
  return `${did}. Here is round ${state.round}; your order for round ${round} was not sent.`;
}

/** A scorer's name as people say it: of a file, its name without the folders; of an ensemble, its members. */
export function scorerName(name) {
  if (name.startsWith(ENSEMBLE))
    return name
      .slice(ENSEMBLE.length)
      .split(",")
      .map((part) => scorerName(part.split("=")[0]))
      .join(" + ");
  return name
    .split(/[\\/]/)
    .at(-1)
    .replace(/\.(safetensors|pth?|ckpt|bin)$/, "");
}
