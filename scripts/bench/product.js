// The built package's modules. Loaded when they are asked for, as a checkout may have no dist/ yet.

/**
 * @template T
 * @param {string} name
 * @returns {Promise<T>}
 */
const load = (name) => import(new URL(`../../dist/${name}.js`, import.meta.url).href);

/** @returns {Promise<typeof import('../../lib/index.js')>} */
export const loadPackage = () => load('index');
/** @returns {Promise<typeof import('../../lib/addon.js')>} */
export const loadAddonModule = () => load('addon');
/** @returns {Promise<typeof import('../../lib/errors.js')>} */
export const loadErrors = () => load('errors');
/** @returns {Promise<typeof import('../../lib/data/dataset.js')>} */
export const loadDataset = () => load('data/dataset');
/** @returns {Promise<typeof import('../../lib/data/decode.js')>} */
export const loadDecode = () => load('data/decode');
/** @returns {Promise<typeof import('../../lib/model/preprocessing.js')>} */
export const loadPreprocessing = () => load('model/preprocessing');
/** @returns {Promise<typeof import('../../lib/data/prepare.js')>} */
export const loadPrepare = () => load('data/prepare');
/** @returns {Promise<typeof import('../../lib/training/train.js')>} */
export const loadTraining = () => load('training/train');
/** @returns {Promise<typeof import('../../lib/cli/main.js')>} */
export const loadCommand = () => load('cli/main');
/** @returns {Promise<typeof import('../../lib/model/onnx/onnx_pb.js')>} */
export const loadOnnxSchema = () => load('model/onnx/onnx_pb');
