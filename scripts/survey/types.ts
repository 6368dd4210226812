/** A model that PyTorch has exported, or the reason why it does not. */
export type Exported =
  | { refused: string }
  | {
      /** Side of its pictures, in pixels. */
      imageSize: number;
      mean: number[];
      std: number[];
      parameters: number;
      /** Calls of operators in its graph. */
      operators: number;
      /** Of its file. */
      bytes: number;
    };

/** What was found for a model. */
export interface ModelResult {
  /** Such as 'torchvision/resnet18'. */
  name: string;
  imageSize?: number;
  parameters?: number;
  operators?: number;
  bytes?: number;
  /** The largest absolute difference of a logit from PyTorch's. */
  difference?: number;
  /** The largest absolute logit. */
  largest?: number;
  /** The largest difference between two pictures' logits of one class. */
  spread?: number;
  /** The one line that says why there are no logits. */
  refused?: string;
}
