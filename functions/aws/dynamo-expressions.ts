/** Conditions and updates of the Database port as DynamoDB expressions; every name and value goes through a placeholder. */
import type { Condition, Update } from '../database.ts';

/** Placeholders of one request. */
export class Names {
  readonly #names = new Map<string, string>();
  readonly #values = new Map<string, unknown>();

  name(attr: string): string {
    const placeholder = this.#names.get(attr) ?? `#n${this.#names.size}`;
    this.#names.set(attr, placeholder);
    return placeholder;
  }

  value(value: unknown): string {
    const placeholder = `:v${this.#values.size}`;
    this.#values.set(placeholder, value);
    return placeholder;
  }

  attributes(): {
    ExpressionAttributeNames?: Record<string, string>;
    ExpressionAttributeValues?: Record<string, unknown>;
  } {
    return {
      ...(this.#names.size === 0
        ? {}
        : {
            ExpressionAttributeNames: Object.fromEntries(
              [...this.#names].map(([attr, placeholder]) => [placeholder, attr]),
            ),
          }),
      ...(this.#values.size === 0 ? {} : { ExpressionAttributeValues: Object.fromEntries(this.#values) }),
    };
  }
}

const one = (condition: Condition, names: Names): string => {
  const name = names.name(condition.attr);
  if ('is' in condition)
    return condition.is === 'absent' ? `attribute_not_exists(${name})` : `attribute_exists(${name})`;
  const comparison = `${name} ${condition.op} ${names.value(condition.value)}`;
  return condition.orAbsent === true ? `(attribute_not_exists(${name}) OR ${comparison})` : comparison;
};

export const conditionExpression = (conditions: readonly Condition[], names: Names): string | undefined =>
  conditions.length === 0 ? undefined : conditions.map((condition) => one(condition, names)).join(' AND ');

export const updateExpression = (update: Update, names: Names): string => {
  const sets = Object.entries(update.set ?? {})
    .filter(([, value]) => value !== undefined)
    .map(([attr, value]) => `${names.name(attr)} = ${names.value(value)}`);
  for (const [attr, value] of Object.entries(update.setIfAbsent ?? {}))
    sets.push(`${names.name(attr)} = if_not_exists(${names.name(attr)}, ${names.value(value)})`);
  const adds = Object.entries(update.add ?? {}).map(([attr, value]) => `${names.name(attr)} ${names.value(value)}`);
  const removes = (update.remove ?? []).map((attr) => names.name(attr));
  return [
    sets.length > 0 ? `SET ${sets.join(', ')}` : '',
    adds.length > 0 ? `ADD ${adds.join(', ')}` : '',
    removes.length > 0 ? `REMOVE ${removes.join(', ')}` : '',
  ]
    .filter((part) => part !== '')
    .join(' ');
};
