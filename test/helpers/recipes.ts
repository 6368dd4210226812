import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** What a library builds of a recipe, as test/fixtures/make_recipes.py writes it down. */
export interface ExpectedRecipe {
  imageSize: number;
  mean: [number, number, number];
  std: [number, number, number];
  /** By width and height, such as `500x375`: the SHA-256 of the input's pixels, uint8 RGB, for {@link recipePicture}. */
  pixels: Record<string, string>;
}

/** Returns the path of a file in test/fixtures/recipes. */
export function recipeFile(name: string): string {
  return fileURLToPath(new URL(`../fixtures/recipes/${name}`, import.meta.url));
}

/** The recipes in test/fixtures/recipes by name. */
export const expectedRecipes = Object.entries(
  JSON.parse(readFileSync(recipeFile('expected.json'), 'utf8')) as Record<string, ExpectedRecipe>,
);

/** Makes the picture for which a recipe's pixels are written down, as a PPM file. */
export function recipePicture(width: number, height: number): Uint8Array {
  const pixels = Uint8Array.from(
    { length: width * height * 3 },
    (_, i) => ((i * i * 31 + i * 17) % 65521) / 256,
  );
  return Buffer.concat([Buffer.from(`P6\n${width} ${height}\n255\n`), pixels]);
}
