// Sizes in an ExportedProgram are formulas of symbols. PyTorch writes them as sympy's srepr() does, `Add(Symbol('s53',
// positive=True, integer=True), Integer(-1))`, or, in some places, as its str(): `((s53 - 1)//2) + 1`.

/** The values of symbols; one that is missing is known only when the model runs. */
export type Symbols = ReadonlyMap<string, number>;

const FUNCTIONS: Readonly<Record<string, (...values: number[]) => number>> = {
  Add: (...values) => values.reduce((a, b) => a + b, 0),
  Mul: (...values) => values.reduce((a, b) => a * b, 1),
  Pow: (a, b) => a ** b,
  Integer: (a) => a,
  Rational: (a, b) => a / b,
  Max: Math.max,
  Min: Math.min,
  Mod: modulo,
  PythonMod: modulo,
  FloorDiv: (a, b) => Math.floor(a / b),
  CleanDiv: (a, b) => Math.floor(a / b),
  CeilDiv: (a, b) => Math.ceil(a / b),
  IntTrueDiv: (a, b) => a / b,
  floor: Math.floor,
  ceiling: Math.ceil,
  FloorToInt: Math.floor,
  CeilToInt: Math.ceil,
  TruncToInt: Math.trunc,
  ToFloat: (a) => a,
  Abs: Math.abs,
};

/** The remainder with the divisor's sign, as Python's. */
export function modulo(a: number, b: number): number {
  return a - b * Math.floor(a / b);
}

/**
 * Evaluates a formula.
 *
 * @returns `null` where it depends on a symbol without a value, or is written in a way that is not known.
 */
export function evaluate(formula: string, symbols: Symbols): number | null {
  const tokens = formula.match(/\*\*|\/\/|[()+\-*/,=]|'\w*'|[A-Za-z_]\w*|\d+(\.\d+)?|\S/g) ?? [];
  let at = 0;
  const take = (token: string) => {
    if (tokens[at] !== token) return false;
    at++;
    return true;
  };

  const sum = (depth: number): number => {
    let value = product(depth);
    for (;;) {
      if (take('+')) value += product(depth);
      else if (take('-')) value -= product(depth);
      else return value;
    }
  };
  const product = (depth: number): number => {
    let value = signed(depth);
    for (;;) {
      if (take('*')) value *= signed(depth);
      else if (take('//')) value = Math.floor(value / signed(depth));
      else if (take('/')) value /= signed(depth);
      else return value;
    }
  };
  const signed = (depth: number): number => {
    if (depth > 100) return Number.NaN;
    if (take('-')) return -signed(depth + 1);
    const base = atom(depth);
    return take('**') ? base ** signed(depth + 1) : base;
  };
  const atom = (depth: number): number => {
    if (take('(')) {
      const value = sum(depth + 1);
      return take(')') ? value : Number.NaN;
    }
    const token = tokens[at++] ?? '';
    if (/^\d/.test(token)) return Number(token);
    if (!take('(')) return symbols.get(token) ?? Number.NaN;
    if (token === 'Symbol') return symbol();
    const values = [sum(depth + 1)];
    while (take(',')) values.push(sum(depth + 1));
    const apply = Object.hasOwn(FUNCTIONS, token) ? FUNCTIONS[token] : undefined;
    return apply && take(')') ? apply(...values) : Number.NaN;
  };

  /** The rest of `Symbol('s53', positive=True, integer=True)`. */
  const symbol = (): number => {
    const name = (tokens[at++] ?? '').replaceAll("'", '');
    while (tokens[at] !== ')' && at < tokens.length) at++;
    return take(')') ? (symbols.get(name) ?? Number.NaN) : Number.NaN;
  };

  const value = sum(0);
  return at === tokens.length && Number.isFinite(value) ? value : null;
}

/**
 * Returns the symbol's value that makes a formula equal a number, such as 7 for `32*_h` and 224.
 *
 * @returns `null` where no whole number does; `undefined` where the formula has no single symbol.
 */
export function solve(
  formula: string,
  target: number,
): { symbol: string; value: number } | null | undefined {
  const names = symbolsIn(formula);
  const [symbol] = names;
  if (names.size !== 1 || symbol === undefined) return undefined;
  const at = (value: number) => evaluate(formula, new Map([[symbol, value]]));
  const [zero, one] = [at(0), at(1)];
  if (zero === null || one === null || one === zero) return undefined;
  const value = (target - zero) / (one - zero);
  return Number.isInteger(value) && at(value) === target ? { symbol, value } : null;
}

function symbolsIn(formula: string): Set<string> {
  const named = [...formula.matchAll(/Symbol\('(\w+)'/g)].map(([, name = '']) => name);
  return new Set(named.length > 0 ? named : formula.match(/\b[A-Za-z_]\w*\b(?!\()/g));
}
