// What other systems, and people, call the options here. The first entry goes first where several calls' options fit.
const SYNONYMS: readonly (readonly [option: string, called: string])[] = [
  ['lr', 'learningRate rate maxLr'],
  ['epochs', 'epoch numEpochs nEpochs maxEpochs'],
  ['batchSize', 'batch bs trainBatchSize perDeviceTrainBatchSize miniBatchSize'],
  ['temperature', 'T temp tau softmaxTemperature kdTemperature'],
  ['alpha', 'lambda softWeight distillWeight distillationWeight kdWeight kdAlpha'],
  ['dropRate', 'dropout dropoutRate dropoutProbability pDropout'],
  ['imageSize', 'size imgSize inputSize cropSize resolution pixels'],
  ['mean', 'means normMean imageMean'],
  ['std', 'stds stdev stddev standardDeviation normStd imageStd'],
  ['teacherLogits', 'logits teacherOutputs teacherAnswers'],
  ['teacher', 'teacherModel teacherPath teacherFile srcModel sourceModel model weights pretrained'],
  ['student', 'studentModel studentPath studentFile dstModel target output out outFile save'],
  ['student', 'model modelPath checkpoint weights'],
  ['teacher', 'output out outFile save dstModel'],
  ['weights', 'pretrained pretrainedWeights initialWeights initialTeacher checkpoint'],
  ['initialStudent', 'init initial initialWeights startFrom resume resumeFrom pretrainedStudent'],
  ['output', 'out outFile outputFile outputPath file path target'],
  ['out', 'output outFile outputFile report results'],
  ['dataset', 'data dataDir dataRoot dataPath datasetPath datasetDir root folder dir images'],
  ['train', 'trainDir trainPath trainFolder training trainDataset'],
  ['val', 'valDir valPath valFolder valid validation validate test testDir valDataset evalDataset'],
  ['images', 'image imagesPath picture pictures file files path paths input inputs folder dataset'],
  ['labels', 'label classes classNames labelNames labelsFile labelsPath names'],
  ['topK', 'k top topN'],
  ['schedule', 'scheduler lrScheduler lrSchedule policy'],
  ['warmup', 'warmupEpochs warmUp'],
  ['augment', 'augmentation augmentations transform transforms'],
  ['views', 'numViews augmentedViews'],
  ['seed', 'randomSeed manualSeed randomState'],
  ['seeds', 'seed numSeeds repeats runs'],
  ['device', 'gpu cuda accelerator'],
  ['precision', 'dtype amp bf16 fp16 half mixedPrecision'],
  ['threads', 'numThreads nThreads numWorkers workers jobs cpus'],
  ['onBadImage', 'badImage onError skipBad skipBadImages ignoreErrors'],
  ['maxPixels', 'maxImagePixels pixelLimit limitInputPixels'],
  ['cacheMemory', 'memory maxMemory memoryLimit ram'],
  ['cacheDir', 'cache cacheFolder cachePath'],
  ['overwrite', 'force replace clobber yes'],
  ['signal', 'abortSignal abort controller'],
  ['optimizer', 'optim'],
  ['weightDecay', 'wd decay l2'],
  ['labelSmoothing', 'smoothing'],
  ['freezeEpochs', 'freeze freezeBackbone'],
  ['architecture', 'arch model network backbone'],
  ['onProgress', 'progress onEpoch progressCallback'],
  ['onWarning', 'warning onWarn'],
];

/** How a name is compared: `batch_size`, `batch-size` and `batchSize` are one. */
const squashed = (name: string) => name.replace(/[-_]/g, '').toLowerCase();

/** The option, of those with these names, that another system's name stands for; `undefined` where there is none. */
export function synonymOf(name: string, options: readonly string[]): string | undefined {
  const wanted = squashed(name);
  const written = options.find((option) => squashed(option) === wanted);
  if (written) return written;
  const isMeant = (called: string) => called.split(' ').map(squashed).includes(wanted);
  return SYNONYMS.find(([option, called]) => options.includes(option) && isMeant(called))?.[0];
}
