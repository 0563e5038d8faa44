"""Networks as objects: from layers, JSON, names, and back; their parameters."""

import copy
import json
import pathlib
import pickle
import tempfile
import unittest

import numpy as np

import gramtile as gt
from support import EVERYTHING, images


def everything():
    """EVERYTHING, of layers."""
    w, b = gt.Parameter("w", 1.5), gt.Parameter("b", 0.3, trainable=False)
    return gt.Network(gt.Sequential(
        gt.Conv2d(3, var_weight=2 * w, var_bias=b),
        gt.ReLU(),
        gt.Sum([gt.Sequential(), gt.Sequential(gt.Conv2d((3, 5), padding="circular"), gt.LeakyReLU(0.1))]),
        gt.Mixture([[gt.Conv2d(1, var_weight=0.7)], gt.Erf()], logits=[0.2, -0.4]),
        gt.Repeat(2, gt.Conv2d(2, var_bias=0.1), gt.ReLU()),
        gt.Dense(var_weight=w)), name="everything")


class NetworkTest(unittest.TestCase):
    def test_layers_dict_text_and_file_are_the_same_network(self):
        net = everything()
        self.assertEqual(net, gt.Network(EVERYTHING))
        self.assertEqual(net, gt.Network(json.dumps(EVERYTHING)))
        self.assertEqual(net, gt.Network("// a comment\n" + net.to_json()))
        self.assertEqual(net, gt.Network(net.to_dict()))
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "net.json"
            path.write_text(json.dumps(EVERYTHING))
            self.assertEqual(net, gt.Network(path))
            self.assertEqual(net, gt.Network(str(path)))
        self.assertEqual(net.name, "everything")
        self.assertNotEqual(net, gt.Network("convnet-gp"))

    def test_networks_can_be_copied_pickled_and_hashed(self):
        net = everything()
        for other in (copy.copy(net), copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
            self.assertEqual(other, net)
            self.assertEqual(hash(other), hash(net))
        self.assertEqual(pickle.loads(pickle.dumps(gt.Conv2d(3))), gt.Conv2d(3))

    def test_every_preset_is_there_by_name(self):
        for name in gt.preset_names():
            with self.subTest(name=name):
                self.assertGreater(len(gt.Network(name).parameters), 2)

    def test_a_layer_is_its_own_network(self):
        net = gt.Sequential(gt.Conv2d(3), gt.ReLU(), gt.Dense())
        x = images(1, 3)
        np.testing.assert_array_equal(net(x), gt.Network(net)(x))
        np.testing.assert_array_equal(gt.Dense(2.0)(x), gt.Sequential(gt.Dense(2.0))(x))
        self.assertEqual(net.network("named").name, "named")

    def test_parameters_are_those_of_the_commands_in_their_order(self):
        found = [(p.name, p.kind, p.value, p.trainable) for p in everything().parameters]
        self.assertEqual(found, [
            ("conv1.var_weight", "variance", 1.0, True),
            ("mixture0.logit0", "logit", 0.2, True), ("mixture0.logit1", "logit", -0.4, True),
            ("conv2.var_weight", "variance", 0.7, True),
            ("conv3.var_weight", "variance", 1.0, True), ("conv3.var_bias", "variance", 0.1, True),
            ("conv4.var_weight", "variance", 1.0, True), ("conv4.var_bias", "variance", 0.1, True),
            ("w", "variance", 1.5, True), ("b", "variance", 0.3, False)])
        self.assertEqual(everything().parameters[8].places, ("layers[0].var_weight", "layers[5].var_weight"))

    def test_other_values_are_the_network_with_them(self):
        net = everything()
        self.assertEqual(net.with_values(net.values)(images(2, 3)).tolist(), net(images(2, 3)).tolist())
        values = np.array([1.1, -0.2, 0.6, 0.8, 1.2, 0.2, 0.9, 0.3, 1.4])
        changed = net.with_values(values)
        np.testing.assert_array_equal(changed.values, values)
        self.assertEqual([p.name for p in changed.parameters], [p.name for p in net.parameters])
        document = json.loads(json.dumps(EVERYTHING))
        document["parameters"]["w"] = 1.4
        self.assertEqual(changed.to_dict()["parameters"], document["parameters"])
        self.assertFalse(np.array_equal(changed(images(2, 3)), net(images(2, 3))))

    def test_values_that_cannot_be_are_refused(self):
        net = everything()
        with self.assertRaisesRegex(ValueError, "9 trainable"):
            net.with_values([1.0])
        for bad in (-1.0, np.nan, np.inf):
            values = net.values
            values[3] = bad
            with self.subTest(bad=bad), self.assertRaisesRegex(ValueError, "conv2.var_weight cannot be"):
                net.with_values(values)

    def test_malformed_networks_are_refused_with_the_place(self):
        cases = [
            ({"layers": [{"type": "conv"}]}, 'layers[0].type: no layer is called "conv"'),
            ({"layers": [{"type": "dense", "var_weight": "w"}]}, 'layers[0].var_weight: no parameter is called "w"'),
            ("{", ""), ("no-such-network", "no-such-network: no such file, and no preset of that name"),
        ]
        for source, sentence in cases:
            with self.subTest(source=source), self.assertRaises(gt.NetworkError) as caught:
                gt.Network(source)
            self.assertIn(sentence, str(caught.exception))
            self.assertIsInstance(caught.exception, ValueError)
        self.assertEqual(gt.NetworkError("x").where, "")
        with self.assertRaises(gt.NetworkError) as caught:
            gt.Sequential(gt.Conv2d(0), gt.Dense())(images(3, 2))
        self.assertEqual(caught.exception.where, "layers[0].kernel_size")

    def test_two_parameters_of_one_name_are_refused(self):
        with self.assertRaisesRegex(ValueError, "two different parameters"):
            gt.Network(gt.Sequential(gt.Dense(gt.Parameter("w", 1.0)), gt.Dense(gt.Parameter("w", 2.0))))
        with self.assertRaises(TypeError):
            gt.Network(gt.Sequential("relu"))

    def test_the_shape_of_images_can_be_checked_before_there_are_any(self):
        net = gt.Network("convnet-gp")
        net.check((1, 28, 28))
        with self.assertRaisesRegex(gt.NetworkError, "does not fit|not 1×1"):
            net.check((1, 20, 28))


if __name__ == "__main__":
    unittest.main()
