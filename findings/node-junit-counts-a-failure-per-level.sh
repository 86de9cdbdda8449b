#!/usr/bin/env bash
# The JUnit report of Node's test runner counts a failed test once for each suite around it, and suites as tests.
#
# Versions:   Node 24.21.0.
# Documented: node:test: "The junit reporter outputs test results in a jUnit XML format", in which `tests` and `failures`
#             of a suite are numbers of test cases.
# Behaviour:  they count a suite's direct children, of which a suite is one: a failure two suites deep is in the
#             `failures` of both, and a suite around one suite of three tests has `tests="1"`. A test outside of any
#             suite stands under <testsuites> itself, in no suite's figures, and <testsuites> has none. The totals are
#             right only in the comments at the end, which a parser of XML leaves out.
# So:         neither the sum over all suites nor that over the outermost ones is the number of tests or failures; who
#             wants these counts <testcase> and <failure> elements.
#
# Output:
#   true: 4 tests, 1 failed
#   attributes of all suites: tests 4 (1 + 3), failures 2 (1 + 1)
#   attributes of the outermost suites: tests 1, failures 1
#   attributes of <testsuites>: none
#   elements: 4 testcase, 1 failure
#   comments: tests 4, fail 1
source "$(dirname "$0")/common.bash"
install node@24.21.0

cat >nested.test.mjs <<'JS'
import assert from 'node:assert';
import { suite, test } from 'node:test';

test('outside', () => {});
suite('outer', () => {
  suite('inner', () => {
    test('passes', () => {});
    test('passes too', () => {});
    test('fails', () => assert.equal(1, 2));
  });
});
JS
node --test --test-reporter=junit nested.test.mjs >report.xml || true

# attributes NAME: of all suites in order, joined by a plus.
attributes() { sed -nE "s/.*<testsuite .* $1=\"([0-9]+)\".*/\1/p" report.xml | paste -sd+ | sed 's/+/ + /g'; }
tests="$(attributes tests)"
failures="$(attributes failures)"
comment() { sed -nE "s/.*<!-- $1 ([0-9]+) -->.*/\1/p" report.xml; }
expect_seen "true: 4 tests, 1 failed
attributes of all suites: tests $((tests)) ($tests), failures $((failures)) ($failures)
attributes of the outermost suites: tests ${tests%% *}, failures ${failures%% *}
attributes of <testsuites>: $(grep -o '<testsuites[^>]*>' report.xml | sed 's/<testsuites>/none/')
elements: $(grep -c '<testcase' report.xml) testcase, $(grep -c '<failure' report.xml) failure
comments: tests $(comment tests), fail $(comment fail)"
