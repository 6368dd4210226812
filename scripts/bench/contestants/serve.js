import { readFileSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

/** @import { Memory } from '../types.js' */

/**
 * Answers the commands that come in on stdin, one JSON object a line; see child.js.
 *
 * @param {Record<string, (parameters: any) => unknown>} commands
 */
export async function serve(commands) {
  // stdout belongs to the answers.
  console.log = console.info = console.error;
  for await (const line of createInterface({ input: process.stdin })) {
    const { command, ...parameters } = JSON.parse(line);
    /** @type {{ result?: unknown, error?: string }} */
    const answer = {};
    try {
      const work = commands[command];
      if (!work) throw new Error(`there is no command '${command}'`);
      answer.result = (await work(parameters)) ?? null;
    } catch (error) {
      answer.error = error instanceof Error ? error.message : String(error);
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
}

/**
 * The peak is that since {@link resetPeak}, where the system can tell.
 *
 * @returns {Memory}
 */
export function memory() {
  const status = readStatus();
  /** @param {string} name */
  const bytes = (name) => {
    const kilobytes = new RegExp(`^${name}:\\s*(\\d+) kB`, 'm').exec(status)?.[1];
    return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
  };
  const resident = process.memoryUsage.rss();
  return {
    peakBytes: bytes('VmHWM') ?? process.resourceUsage().maxRSS * 1024,
    residentBytes: resident,
    anonymousBytes: bytes('RssAnon') ?? resident,
  };
}

/** Forgets the peak of what came before. */
export function resetPeak() {
  try {
    writeFileSync('/proc/self/clear_refs', '5');
  } catch {
    // The peak is the process's then.
  }
}

function readStatus() {
  try {
    return readFileSync('/proc/self/status', 'utf8');
  } catch {
    return '';
  }
}
