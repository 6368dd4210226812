import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { linkPictures, shuffled, writePictures } from './pictures.js';
import {
  loadAddonModule,
  loadDataset,
  loadDecode,
  loadPackage,
  loadPreprocessing,
} from './product.js';

/** @import { Plan } from './plan.js' */
/** @import { Portable, Task } from './types.js' */

/**
 * Makes what all contestants are given: pictures, a teacher, a student's initial weights.
 *
 * @param {Plan} plan
 * @param {string} folder
 * @returns {Promise<{ task: Task, taskFile: string }>}
 */
export async function makeInputs(plan, folder) {
  const { loadAddon, native } = await loadAddonModule();
  const { scanDataset } = await loadDataset();
  const scratch = path.join(folder, 'scratch');
  mkdirSync(scratch, { recursive: true });

  const made = path.join(folder, 'pictures');
  if (!plan.dataset) {
    await writePictures(made, { train: plan.trainPictures, val: plan.valPictures, classes: 2 });
  }
  const source = plan.dataset ?? made;
  const dataset = path.join(folder, 'dataset');
  const given = await scanDataset(splitsOf(source));
  const samples = { train: given.train.samples, val: given.val.samples };
  linkPictures(dataset, given.classes, samples, {
    train: plan.trainPictures,
    val: plan.valPictures,
  });
  const { classes, train, val } = await scanDataset(splitsOf(dataset));

  const create = loadAddon().createModel;
  const seed = 1;
  const teacher = plan.teacher ? path.resolve(plan.teacher) : path.join(folder, 'teacher.pth');
  if (!plan.teacher) {
    const architecture = 'densenet121';
    await native(create({ path: teacher, architecture, classes: classes.length, seed }));
  }
  const { inspect } = await loadPackage();
  const { architecture, classes: known } = await inspect(teacher);
  if (!architecture || known !== classes.length) {
    throw new Error(`the teacher has ${known} classes, the dataset has ${classes.length}`);
  }
  const student = path.join(folder, 'student.pth');
  await native(create({ path: student, architecture: 'cnn', classes: classes.length, seed }));

  /** @type {Task} */
  const task = {
    dataset,
    classes,
    train: shuffled(train.samples),
    val: shuffled(val.samples),
    teacher,
    architecture,
    student,
    portable: path.join(folder, 'portable.json'),
    scratch,
    mean: [0.485, 0.456, 0.406],
    std: [0.229, 0.224, 0.225],
    imageSize: plan.imageSize,
    batchSize: plan.batchSize,
    threads: plan.threads,
    temperature: 2,
    alpha: 0.7,
    lr: 1e-4,
  };
  writeFileSync(task.portable, JSON.stringify(await portable(task, plan)));
  const taskFile = path.join(folder, 'task.json');
  writeFileSync(taskFile, JSON.stringify(task));
  return { task, taskFile };
}

/** @param {string} root */
function splitsOf(root) {
  return { train: path.join(root, 'train'), val: path.join(root, 'val') };
}

/**
 * @param {Task} task
 * @param {Plan} plan
 * @returns {Promise<Portable>}
 */
async function portable(task, { tfjs: { imageSize, batchSize, steps } }) {
  const { loadAddon, native } = await loadAddonModule();
  const { decodeBatches } = await loadDecode();
  const { centerCropOf } = await loadPreprocessing();
  const { inspect } = await loadPackage();
  const addon = loadAddon();
  const { tensors } = await inspect(task.student);
  const names = tensors.map(({ name }) => name).filter((name) => !name.endsWith('_tracked'));
  const weights = names.map(async (name) => {
    const { shape, data } = await native(addon.readTensor(task.student, name));
    return [name, { shape, data: base64(Float32Array.from(data)) }];
  });

  const { mean, std, threads, teacher } = task;
  const classifier = new addon.Classifier({
    averaged: false,
    mean,
    std,
    threads,
    device: 'cpu',
    precision: 'fp32',
    imageSize,
    model: teacher,
  });
  await native(classifier.load());
  const some = task.train.slice(0, steps * batchSize);
  const pixels = [];
  const logits = [];
  const paths = some.map((picture) => picture.path);
  for await (const batch of decodeBatches(paths, {
    preprocessing: centerCropOf(imageSize),
    batchSize: 8,
  })) {
    pixels.push(Buffer.from(batch.pixels));
    logits.push(...(await native(classifier.logits(batch.pixels))));
  }
  await classifier.close();
  return {
    weights: Object.fromEntries(await Promise.all(weights)),
    imageSize,
    batchSize,
    steps: Math.floor(some.length / batchSize),
    pixels: Buffer.concat(pixels).toString('base64'),
    labels: some.map((picture) => picture.label),
    teacherLogits: base64(Float32Array.from(logits)),
  };
}

/** @param {Float32Array} values */
function base64(values) {
  return Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString('base64');
}
