import { spawn } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import path from 'node:path';

/**
 * @typedef {object} Outcome
 * @property {boolean} ok whether the program ran and exited with 0
 * @property {string} stdout
 * @property {string} stderr
 * @property {string} reason why it is not ok, in a few words
 */

/**
 * Runs a program to its end. Never throws: a program that is not there is an outcome too.
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @param {object} [options]
 * @param {string} [options.cwd]
 * @param {NodeJS.ProcessEnv} [options.env]
 * @param {string} [options.input] what it reads from stdin
 * @param {boolean} [options.showOutput] let its stdout through to the terminal
 * @param {number} [options.timeout] milliseconds after which it is killed
 * @param {(chunk: string) => void} [options.onOutput] sees stdout and stderr as they come
 * @returns {Promise<Outcome>}
 */
export function run(command, args, options = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: options.env ?? process.env,
      timeout: options.timeout,
      stdio: ['pipe', options.showOutput ? process.stderr : 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    child.stdout?.setEncoding('utf8').on('data', (chunk) => {
      stdout += chunk;
      options.onOutput?.(chunk);
    });
    child.stderr?.setEncoding('utf8').on('data', (chunk) => {
      stderr += chunk;
      options.onOutput?.(chunk);
    });
    // A program that ends before it reads its input is no failure of ours.
    child.stdin?.on('error', () => {}).end(options.input ?? '');
    child.on('error', (error) => resolve({ ok: false, stdout, stderr, reason: error.message }));
    child.on('close', (code, signal) => {
      const reason = signal ? `it was ended by ${signal}` : `it exited with ${code}`;
      resolve({ ok: code === 0, stdout, stderr, reason });
    });
  });
}

/**
 * The program that a shell would run.
 *
 * @param {string} name a name or a path
 * @param {NodeJS.ProcessEnv} env
 * @returns {string | undefined} its absolute path
 */
export function findOnPath(name, env) {
  const candidates = name.includes('/')
    ? [path.resolve(name)]
    : (env.PATH ?? '').split(path.delimiter).map((folder) => path.resolve(folder, name));
  return candidates.find((file) => {
    try {
      accessSync(file, constants.X_OK);
      return statSync(file).isFile();
    } catch {
      return false;
    }
  });
}
