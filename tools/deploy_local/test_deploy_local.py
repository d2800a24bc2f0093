"""Tests of what the rehearsal knows by itself: templates' values, comparisons, zips."""

import io
import pathlib
import tempfile
import unittest
import zipfile

from . import gaps, zips
from .resolve import Resolver, Unknown, differences

TEMPLATE = {
    "Parameters": {
        "Name": {"Type": "String"},
        "Key": {"Type": "String", "Default": ""},
        "Queues": {"Type": "CommaDelimitedList", "Default": "a, b"},
    },
    "Conditions": {
        "HasKey": {"Fn::Not": [{"Fn::Equals": [{"Ref": "Key"}, ""]}]},
        "Named": {"Fn::Equals": [{"Ref": "Name"}, "ojs"]},
        "Both": {"Fn::And": [{"Condition": "HasKey"}, {"Condition": "Named"}]},
        "Any": {"Fn::Or": [{"Condition": "HasKey"}, {"Condition": "Named"}]},
    },
    "Resources": {
        "Table": {"Type": "T", "Properties": {"TableName": {"Fn::Sub": "${Name}-jobs"}}},
        "Keyed": {"Type": "K", "Condition": "HasKey"},
    },
}


def resolver(**parameters):
    """One for the template above."""
    pseudo, ids = {"AWS::Region": "us-east-1"}, {"Table": "ojs-jobs"}
    return Resolver(TEMPLATE, {"Name": "ojs", **parameters}, pseudo, ids, {"Table": {"Arn": "arn:table"}})


class Values(unittest.TestCase):
    """The intrinsic functions."""

    def test_functions(self):
        for value, expected in (
            ({"Ref": "Queues"}, ["a", "b"]),
            ({"Ref": "Table"}, "ojs-jobs"),
            ({"Fn::GetAtt": "Table.Arn"}, "arn:table"),
            ({"Fn::GetAtt": ["Table", "Arn"]}, "arn:table"),
            ({"Fn::Sub": "${Table.Arn}/index/* ${!Kept} ${AWS::Region}"}, "arn:table/index/* ${Kept} us-east-1"),
            ({"Fn::Sub": ["${What}-${Name}", {"What": {"Ref": "Table"}}]}, "ojs-jobs-ojs"),
            ({"Fn::Join": ["-", [{"Ref": "Name"}, "x"]]}, "ojs-x"),
            ({"Fn::Select": [1, {"Ref": "Queues"}]}, "b"),
            ({"Fn::Split": [",", "a,b"]}, ["a", "b"]),
            ({"Fn::If": ["HasKey", 1, {"Ref": "Name"}]}, "ojs"),
            ([1, {"Ref": "AWS::NoValue"}], [1]),
            ({"a": {"Fn::If": ["HasKey", 1, {"Ref": "AWS::NoValue"}]}, "b": 2}, {"b": 2}),
        ):
            self.assertEqual(resolver().value(value), expected, value)

    def test_conditions(self):
        self.assertFalse(resolver().condition("Both"))
        self.assertTrue(resolver().condition("Any"))
        self.assertTrue(resolver(Key="k").condition("Both"))

    def test_what_is_not_known_is_not_guessed(self):
        for value in ({"Ref": "Nobody"}, {"Fn::GetAtt": ["Table", "StreamArn"]}, {"Fn::Cidr": []}):
            with self.assertRaises(Unknown):
                resolver().value(value)

    def test_resources_whose_condition_does_not_hold_are_left_out(self):
        self.assertEqual([name for name, _, _ in resolver().resources(TEMPLATE)], ["Table"])
        self.assertEqual([name for name, _, _ in resolver(Key="k").resources(TEMPLATE)], ["Table", "Keyed"])


class Comparison(unittest.TestCase):
    """What counts as a difference."""

    def test_equal(self):
        for expected, actual in (
            ({"a": 1}, {"a": "1", "b": 2}),
            ({"a": True}, {"a": "true"}),
            ({"a": "500"}, {"a": 500.0}),
            ([{"a": 1}, {"b": 2}], [{"b": 2, "c": 3}, {"a": 1}]),
        ):
            self.assertEqual(differences(expected, actual), [], expected)

    def test_different(self):
        for expected, actual in (
            ({"a": 1}, {}),
            ({"a": 1}, {"a": 2}),
            ({"a": {"b": 1}}, {"a": None}),
            ([1], [1, 2]),
            ([1, 1], [1, 2]),
            ({"a": True}, {"a": 1}),
        ):
            self.assertEqual(len(differences(expected, actual)), 1, expected)


class Gaps(unittest.TestCase):
    """What is rewritten for ministack."""

    def test_secrets_are_asked_for_their_arn(self):
        template = {
            "Resources": {"Key": {"Type": "AWS::SecretsManager::Secret"}},
            "Outputs": [{"Ref": "Key"}, {"Fn::Sub": "x ${Key} ${Key.Name}"}, {"Ref": "Other"}, {"Ref": {"Fn::Sub": "a"}}],
        }
        rewritten, notes = gaps.secrets_by_arn(template)
        expected = [{"Fn::GetAtt": ["Key", "Id"]}, {"Fn::Sub": "x ${Key.Id} ${Key.Name}"}, *template["Outputs"][2:]]
        self.assertEqual((rewritten["Outputs"], len(notes)), (expected, 1))

    def test_batch_calls_are_what_the_single_ones_are(self):
        allow = {"Effect": "Allow", "Action": ["sqs:SendMessage", "sqs:CreateQueue"]}
        deny = {"Effect": "Deny", "Action": "sqs:SendMessage"}
        rewritten, notes = gaps.batch_actions([allow, deny, {"Effect": "Allow", "Action": "sqs:DeleteMessage"}])
        self.assertEqual(rewritten[0]["Action"], [*allow["Action"], "sqs:SendMessageBatch"])
        self.assertEqual(rewritten[1:], [deny, {"Effect": "Allow", "Action": ["sqs:DeleteMessage", "sqs:DeleteMessageBatch"]}])
        self.assertEqual(len(notes), 1)


class Zips(unittest.TestCase):
    """Where the code is found."""

    def test_of_cargo_lambda_and_of_sam(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            with self.assertRaises(FileNotFoundError):
                zips.read(folder, "api", "ApiFunction")
            (folder / "ApiFunction").mkdir()
            (folder / "ApiFunction" / "bootstrap").write_bytes(b"a program")
            code = zips.read(folder, "api", "ApiFunction")
            with zipfile.ZipFile(io.BytesIO(code)) as archive:
                self.assertEqual(archive.read("bootstrap"), b"a program")
                self.assertEqual(archive.getinfo("bootstrap").external_attr >> 16, 0o755)
            (folder / "api").mkdir()
            (folder / "api" / "bootstrap.zip").write_bytes(b"zip")
            self.assertEqual(zips.read(folder, "api", "ApiFunction"), b"zip")


if __name__ == "__main__":
    unittest.main()
