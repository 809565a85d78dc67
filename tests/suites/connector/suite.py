"""Runs unittests.py of the current folder as it is, and writes each test's outcome as runner.py reads it."""

import os
import re
import sys

sys.path.insert(0, os.getcwd())
import unittests

OUT = open(os.environ["SUITE_OUTCOMES"], "w", buffering=1)


class Result(unittests.BasicTestResult):
    def say(self, outcome, test):
        # Behind the name of a test stands the class of connection that it was run with last.
        print(outcome, re.sub(r" \(using \w+\)", "", test.id()), sep="\t", file=OUT)

    def addSuccess(self, test):
        super().addSuccess(test)
        self.say("ok", test)

    def addError(self, test, err):
        super().addError(test, err)
        self.say("error", test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.say("fail", test)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.say("fail", subtest)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.say("skip", test)

    def addExpectedFailure(self, test, err):
        super().addExpectedFailure(test, err)
        self.say("ok", test)

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self.say("fail", test)


unittests.BasicTestRunner.resultclass = Result
unittests.main()
