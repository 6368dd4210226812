// The built package's modules. Loaded when they are asked for, as a checkout may have no dist/ yet.

/**
 * @template T
 * @param {string} name
 * @returns {Promise<T>}
 */
const load = (name) => import(new URL(`../../dist/cli/${name}.js`, import.meta.url).href);

/** @returns {Promise<typeof import('../../lib/cli/main.js')>} */
export const loadCommand = () => load('main');
/** @returns {Promise<typeof import('../../lib/cli/trials.js')>} */
export const loadTrials = () => load('trials');
