/** Options of every call that reads pictures: the steps from a picture to the square that a network sees, in this order. */
export interface PixelOptions {
  /**
   * How pictures are prepared, in one word or one file instead of the options below and `imageSize`, `mean` and `std`, which
   * come before it. `'torchvision'`: the shorter side is resized to 256 pixels, the middle 224 are taken, and ImageNet's mean
   * and standard deviation are applied. `'none'`: as the options and the model's file say. A path: timm's `pretrained_cfg` or
   * `config.json`, Hugging Face's `preprocessor_config.json`, or torchvision's `weights.transforms()`, printed. Default: as
   * the model's file says, or else such a file that lies beside it.
   */
  preprocess?: string | undefined;
  /**
   * Turns pictures upright by their EXIF orientation (`'apply'`), as Pillow's `ImageOps.exif_transpose` does, or takes the
   * pixels as they lie in the file (`'ignore'`). Default: as the model's file says, else 'ignore'.
   */
  exif?: 'ignore' | 'apply' | undefined;
  /**
   * Resizes pictures as torchvision's `Resize` does with Pillow's filters: the shorter side to so many pixels, or to
   * `[height, width]`; `false`: pictures are not resized. Default: as the model's file says, else `false`.
   */
  resize?: number | readonly [height: number, width: number] | false | undefined;
  /**
   * The filter of resizing, antialiased but for `'nearest'`. Default: as the model's file says, else 'bilinear'.
   */
  interpolation?: 'bilinear' | 'bicubic' | 'lanczos' | 'box' | 'nearest' | undefined;
  /**
   * Black pixels that are added after resizing, as torchvision's `Pad` does: on every side; left and right, and top and
   * bottom; or left, top, right, bottom. Default: as the model's file says, else 0.
   */
  padding?:
    | number
    | readonly [across: number, down: number]
    | readonly [left: number, top: number, right: number, bottom: number]
    | undefined;
  /**
   * Takes the middle `imageSize` pixels, as torchvision's `CenterCrop` does; what is smaller gets a black margin. `false`: the
   * resized picture is taken whole, which `resize` has made a square. Default: as the model's file says, else true.
   */
  crop?: boolean | undefined;
}
