// Compiles an authorization policy: names as indices, what is not said as null.

import type { CheckedPolicy } from '../../config/schema/authorization.js';
import type { Policy } from '../snapshot.generated.js';
import { compilePathMatch } from './route.js';
import { required, type Scope, toIndices } from './scope.js';

/** Compiles one entry of `authorization`. */
export function compilePolicy(policy: CheckedPolicy, scope: Scope): Policy {
  return {
    name: policy.name,
    listeners: toIndices(required(policy.listeners, 'listeners of a policy').map(scope.listener)),
    action: policy.action,
    mode: policy.mode,
    rules: policy.rules.map(({ from, methods, paths }) => ({
      from: from ?? null,
      methods: methods ?? null,
      paths: paths?.map(compilePathMatch) ?? null,
    })),
  };
}
