/** When a run sweeps its branch, and how often it mends what that finds. Pure functions of values. */
import type { Green } from '../contracts/green.ts';

/** `reconcile`: the run is there for nothing else, and mends all that fails. */
export type SweepMode = 'run' | 'reconcile';

/** How often fixes of a final sweep may be followed by another one. */
const MAX_ROUNDS: Readonly<Record<SweepMode, number>> = { run: 3, reconcile: 10 };
/** So often a sweep that was lost is made again, so much later. */
const MAX_LOST = 2;
export const AGAIN_MS = 3_000;
/** A sweep that says nothing for so long is asked after. */
export const ASK_MS = 60_000;

/** How a run stands, as far as its sweeps go. */
export type SweepView = {
  mode: SweepMode;
  sweeps: 'auto' | 'off';
  /** The remote refuses pushes, or the run was cancelled: nothing that a sweep finds would be mended. */
  isOver: boolean;
  /** The merge queue was told to let only fixes land. */
  isFrozen: boolean;
  /** Fix tasks are at work. */
  isMending: boolean;
  /** How much work has landed. */
  work: number;
  /** The newest verdict, with how much had landed when its sweep began. */
  last?: { verdict: Green['verdict']; work: number } | undefined;
};

/** Whether something landed of which no sweep has said anything. */
export function wantsSweep({ mode, sweeps, isOver, isFrozen, isMending, work, last }: SweepView): boolean {
  if (isOver) return false;
  if (mode === 'reconcile' && last === undefined) return true;
  // Whoever waits to land must not wait for fixes that have failed.
  if (isFrozen && !isMending) return true;
  return sweeps === 'auto' && work > 0 && work !== last?.work;
}

/**
 * When there is something to do about sweeps between landings, in ms since the epoch; Infinity: nothing is.
 * @param at when the one that runs was last asked after; when the next one is due (0: never was).
 */
export function nextSweepAt(view: SweepView, at: { askedAt?: number | undefined; dueAt: number }): number {
  const { mode, isMending, last } = view;
  if (at.askedAt !== undefined) return at.askedAt + ASK_MS;
  const never = at.dueAt === 0 || last?.verdict === 'none' || mode === 'reconcile';
  if (never || !wantsSweep(view)) return Number.POSITIVE_INFINITY;
  // Whether the fixes have helped is looked at as soon as all have ended.
  return last?.verdict === 'red' && !isMending ? 0 : at.dueAt;
}

/** @param rounds how many sweeps have made fix tasks. */
export const mayFix = (mode: SweepMode, rounds: number): boolean => rounds < MAX_ROUNDS[mode];

/** @param lost how many sweeps in a row ended without a word. */
export const isLostForGood = (lost: number): boolean => lost > MAX_LOST;

/** When the one after a lost one is due, in ms from now. */
export const afterLostMs = (lost: number, intervalMs: number): number => (isLostForGood(lost) ? intervalMs : AGAIN_MS);
