// A minute of everything at once: a leak or a request lost in a reload shows here.

import t from 'tap';
import { checkSoak } from './check.js';

t.test('60 s of mixed load with reloads and new certificates', (t) => checkSoak(t, 60));
