// The command line as a program under test. The addon is loaded beforehand, as that takes longer than most commands.
import { loadAddonModule, loadCommand } from '../bench/product.js';

(await loadAddonModule()).loadAddon();

export const { main } = await loadCommand();
