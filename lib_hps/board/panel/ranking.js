/**
 * The half-made ranking: tiers of picture numbers, the best tier first; numbers that are in no tier are worse than all
 * that are. Every function is pure and returns a new ranking.
 * @typedef {{tiers: number[][], none: boolean}} Ranking
 */

/** @returns {Ranking} */
export const empty = () => ({ tiers: [], none: false });

export const isEmpty = (ranking) => !ranking.none && ranking.tiers.length === 0;

/** The 0-based tier of a number, or -1. */
export const tierOf = (ranking, number) => ranking.tiers.findIndex((tier) => tier.includes(number));

const made = (tiers) => ({ tiers: tiers.filter((tier) => tier.length), none: false });

const without = (ranking, number) => ranking.tiers.map((tier) => tier.filter((other) => other !== number));

/** Take a number back. */
export const drop = (ranking, number) => made(without(ranking, number));

/** Rank a number next, or beside the last one (`tied`); one that is ranked already is taken back. */
export function pick(ranking, number, tied = false) {
  if (tierOf(ranking, number) >= 0) return drop(ranking, number);
  const last = ranking.tiers.length - 1;
  return tied && last >= 0 ? place(ranking, number, { tie: last }) : place(ranking, number, { before: last + 1 });
}

/** Move a number (ranked or not) before tier `before`, or into tier `tie`; tiers are counted as they are now. */
export function place(ranking, number, { before, tie }) {
  const tiers = without(ranking, number);
  if (tie !== undefined) tiers[tie] = [...tiers[tie], number];
  else tiers.splice(before, 0, [number]);
  return made(tiers);
}

/** Move a ranked number one step towards the best (-1) or the last (+1): out of a tie first, then past the next tier. */
export function nudge(ranking, number, step) {
  const tier = tierOf(ranking, number);
  if (tier < 0) return ranking;
  if (ranking.tiers[tier].length > 1) return place(ranking, number, { before: step < 0 ? tier : tier + 1 });
  const target = tier + step;
  if (target < 0 || target >= ranking.tiers.length) return ranking;
  return place(ranking, number, { before: step < 0 ? target : target + 1 });
}

/** Tie a number with the tier before its own, or part it from its tier again. */
export function toggleTie(ranking, number) {
  const tier = tierOf(ranking, number);
  if (tier < 0) return ranking;
  if (ranking.tiers[tier].length > 1) return place(ranking, number, { before: tier + 1 });
  return tier ? place(ranking, number, { tie: tier - 1 }) : ranking;
}

/** Say that `winner` is better than `loser`, with the smallest change that makes it so. */
export function prefer(ranking, winner, loser) {
  const [won, lost] = [tierOf(ranking, winner), tierOf(ranking, loser)];
  if (won >= 0 && (lost < 0 || won < lost)) return ranking;
  return place(ranking, winner, { before: lost < 0 ? ranking.tiers.length : lost });
}

/** Say that two are equally good, with the smallest change that makes it so. */
export function equal(ranking, one, other) {
  const [a, b] = [tierOf(ranking, one), tierOf(ranking, other)];
  if (a < 0 && b < 0) return made([...ranking.tiers, [one, other]]);
  if (a === b) return ranking;
  if (b < 0 || (a >= 0 && a < b)) return place(ranking, other, { tie: a });
  return place(ranking, one, { tie: b });
}

/** "3 > 1 = 2". */
export const words = (tiers) => tiers.map((tier) => tier.join(" = ")).join(" > ");

/** What was stored, or null where it does not fit these numbers. */
export function read(stored, numbers) {
  if (!stored || !Array.isArray(stored.tiers)) return null;
  const all = stored.tiers.flat();
  const fits = all.every((number) => numbers.includes(number)) && new Set(all).size === all.length;
  return fits ? { tiers: stored.tiers.filter((tier) => tier.length), none: Boolean(stored.none) && !all.length } : null;
}

/** What a half-made ranking belongs to: these candidates, drawn with these settings. */
export const roundOf = (state) =>
  JSON.stringify([state.id, state.round, state.candidates.map((one) => one.recipe), state.settings]);
