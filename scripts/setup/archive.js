import { createWriteStream } from 'node:fs';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { needRoom } from './cache.js';
import { sentence } from './failure.js';
import { ARCHIVE_BASE, ARCHIVES } from './pinned.js';
import { progress, say, size } from './progress.js';

/** Milliseconds to wait for a server's first answer: the next rung may serve where it is blocked. */
const ANSWER_TIMEOUT = 5_000;
/** Milliseconds without a byte after which a download is given up. */
const IDLE_TIMEOUT = 10_000;

/**
 * The address of the official archive for this platform.
 *
 * @param {NodeJS.ProcessEnv} env
 * @param {boolean} cuda
 * @returns {string | undefined} undefined where PyTorch publishes none
 */
export function archiveUrl(env, cuda) {
  const archive = ARCHIVES[`${process.platform}-${process.arch}`]?.[cuda ? 'cuda' : 'cpu'];
  const base = (env.DISTILL_LIBTORCH_URL || ARCHIVE_BASE).replace(/\/+$/, '');
  return archive && `${base}/${archive}`;
}

/**
 * Downloads a file, giving up after a few seconds where the server cannot be reached or falls silent.
 *
 * @param {string} url
 * @param {string} file must not exist
 */
export async function download(url, file) {
  const controller = new AbortController();
  const giveUp = (/** @type {string} */ why) => controller.abort(new Error(why));
  let timer = setTimeout(giveUp, ANSWER_TIMEOUT, `no answer in ${ANSWER_TIMEOUT / 1000} s`);
  try {
    const response = await fetch(url, { signal: controller.signal });
    if (!response.ok || !response.body) throw new Error(`the server answered ${response.status}`);
    const total = Number(response.headers.get('content-length'));
    await needRoom(path.dirname(file), total);
    say(`downloading ${url}${total ? ` (${size(total)})` : ''}`);

    clearTimeout(timer);
    timer = setTimeout(giveUp, IDLE_TIMEOUT, `no byte came for ${IDLE_TIMEOUT / 1000} s`);
    let received = 0;
    const counted = async function* (/** @type {AsyncIterable<Buffer>} */ chunks) {
      for await (const chunk of chunks) {
        timer.refresh();
        received += chunk.length;
        progress(`downloading LibTorch: ${size(received)}${total ? ` of ${size(total)}` : ''}`);
        yield chunk;
      }
    };
    const body = /** @type {import('node:stream/web').ReadableStream} */ (response.body);
    await pipeline(Readable.fromWeb(body), counted, createWriteStream(file, { flags: 'wx' }));
  } catch (error) {
    throw new Error(`${url}: ${sentence(error)}`);
  } finally {
    clearTimeout(timer);
  }
}
