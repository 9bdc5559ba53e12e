"""What TensorFlow's optimizer leaves of a graph."""

from __future__ import annotations

from typing import Any


def operations_after_optimization(graph: Any) -> list[str]:
    """The types of the operations that run in the end."""
    from tensorflow.core.protobuf.config_pb2 import ConfigProto
    from tensorflow.python.framework.meta_graph import create_meta_graph_def
    from tensorflow.python.grappler.tf_optimizer import OptimizeGraph

    meta_graph = create_meta_graph_def(graph=graph)
    meta_graph.collection_def["train_op"].node_list.value.extend(output.name for output in graph.outputs)
    config = ConfigProto()
    config.graph_options.rewrite_options.min_graph_nodes = -1
    return [node.op for node in OptimizeGraph(config, meta_graph).node]
