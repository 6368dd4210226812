// The package's install script. It fails loudly: a package whose addon is silently missing would
// fail later, and further from the cause.
import { main } from './index.js';

const skip = process.env.DISTILL_SKIP_SETUP;
if (skip && skip !== '0') {
  console.log('distill setup: skipped, as DISTILL_SKIP_SETUP asks; later: npx distill setup');
} else {
  process.exitCode = await main([]);
}
