/** Lookup by topology name that fails at synthesis, not at deployment, when something points at what is not there. */
export class ByName<Name extends string, Value> {
  readonly #kind: string;
  readonly #values = new Map<Name, Value>();

  constructor(kind: string) {
    this.#kind = kind;
  }

  add(name: Name, value: Value): void {
    if (this.#values.has(name)) throw new Error(`${this.#kind} "${name}" is there twice`);
    this.#values.set(name, value);
  }

  /** @throws Error when the topology names something it does not define */
  get(name: Name): Value {
    const value = this.#values.get(name);
    if (value === undefined) throw new Error(`the topology has no ${this.#kind} "${name}"`);
    return value;
  }

  entries(): readonly (readonly [Name, Value])[] {
    return [...this.#values];
  }
}
