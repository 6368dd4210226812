// Serves the page with a student of yours:
//
//   npx distill export student.pth -o student.onnx --input picture
//   npx distill inspect student.pth --json > student.json
//   node examples/browser/serve.js student.onnx student.json
//
// Any server of static files does the same; it must serve `.wasm` as application/wasm, and `.mjs` as JavaScript.
import { createReadStream } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pipeline } from 'node:stream';

const [model = 'student.onnx', description = 'student.json', port = '0'] = process.argv.slice(2);
const runtime = path.dirname(createRequire(import.meta.url).resolve('onnxruntime-web/wasm'));

/** @type {Record<string, string>} */
const files = {
  '/': path.join(import.meta.dirname, 'index.html'),
  '/student.onnx': model,
  '/student.json': description,
  '/browser/page.js': path.join(import.meta.dirname, 'page.js'),
  '/browser/classify.js': path.join(import.meta.dirname, 'classify.js'),
};
for (const name of [
  'ort.wasm.min.mjs',
  'ort-wasm-simd-threaded.mjs',
  'ort-wasm-simd-threaded.wasm',
]) {
  files[`/ort/${name}`] = path.join(runtime, name);
}

/** @type {Record<string, string>} */
const TYPES = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.wasm': 'application/wasm',
  '.json': 'application/json',
  '.onnx': 'application/octet-stream',
};

const server = createServer((request, response) => {
  const file = files[new URL(request.url ?? '/', 'http://localhost').pathname];
  if (!file) {
    response.writeHead(404).end();
    return;
  }
  const type = TYPES[path.extname(file)] ?? 'application/octet-stream';
  response.writeHead(200, { 'content-type': type });
  pipeline(createReadStream(file), response, (error) => error && response.destroy());
});
server.listen(Number(port), '127.0.0.1', () => {
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  console.log(`http://127.0.0.1:${port}/`);
});
