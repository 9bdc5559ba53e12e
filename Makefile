# Everything sets itself up: the first command on a fresh machine makes its own environment in .venv.
PYTHON ?= python3
VENV := .venv
PARITY := .venv-parity
TRANSFORMERS5 := .venv-transformers5
LITERT := .venv-litert
LITERTJS := .litertjs
TENSORFLOW_IO := .venv-tensorflow-io
PY := $(VENV)/bin/python
PYTEST := -m pytest -q
export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: help demo test page tensorflow-io two-processes notebooks slow soak slow-on-jax lint parity full benchmarks clean

help:  ## Show what can be made
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --editable '.[dev]'
	@touch $@

# The reference wants an older huggingface_hub, so it lives beside the package in an environment of its own.
$(PARITY)/.ready: pyproject.toml requirements/parity.txt requirements/decoding.txt
	$(PYTHON) -m venv $(PARITY)
	$(PARITY)/bin/python -m pip install --quiet --requirement requirements/parity.txt --editable '.[dev]'
	$(PARITY)/bin/python -m pip install --quiet --no-deps --requirement requirements/decoding.txt
	$(PARITY)/bin/python -m pip install --quiet 'kenlm>=0.3' || \
	  echo "kenlm does not build here: the comparisons with pyctcdecode are skipped"
	@touch $@

# Files are exchanged with the newest release too, which runs in another process.
$(TRANSFORMERS5)/.ready: requirements/transformers5.txt
	$(PYTHON) -m venv $(TRANSFORMERS5)
	$(TRANSFORMERS5)/bin/python -m pip install --quiet --requirement requirements/transformers5.txt
	@touch $@

# No TensorFlow and no Keras: what a small machine needs for a .tflite file, and the package as it is installed there.
$(LITERT)/.ready: pyproject.toml setup.cfg requirements/litert.txt $(shell find tfwav2vec2 -name "*.py")
	$(PYTHON) -m venv $(LITERT)
	$(LITERT)/bin/python -m pip install --quiet --requirement requirements/litert.txt
	$(LITERT)/bin/python -m pip install --quiet --no-deps .
	@touch $@

# Decoding in the graph: an older TensorFlow than the package asks for.
$(TENSORFLOW_IO)/.ready: requirements/tensorflow-io.txt
	$(PYTHON) -m venv $(TENSORFLOW_IO)
	$(TENSORFLOW_IO)/bin/python -m pip install --quiet --requirement requirements/tensorflow-io.txt
	$(TENSORFLOW_IO)/bin/python -m pip install --quiet --no-deps --editable .
	@touch $@

# What runs a model inside a browser; the page's tests also want Chromium, which a system's package manager installs.
$(LITERTJS)/.ready:
	npm install --silent --no-fund --no-audit --prefix $(LITERTJS) @litertjs/core@2.5.3
	@touch $@

demo: $(VENV)/.ready  ## Transcribe spoken digits with the embedded model
	$(PY) -m demo.run

lint: $(VENV)/.ready
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

# The tests of exports share what each file exports, so that a file stays on one worker.
test: $(VENV)/.ready $(LITERT)/.ready lint  ## Run the tests on TensorFlow and, in part, on JAX
	KERAS_BACKEND=tensorflow $(PY) $(PYTEST) --numprocesses 2 -m "not slow" \
	  --ignore=tests/parity --ignore=tests/serving --ignore=tests/web
	TFWAV2VEC2_LITERT_PYTHON=$(CURDIR)/$(LITERT)/bin/python KERAS_BACKEND=tensorflow \
	  $(PY) $(PYTEST) --numprocesses 2 --dist loadfile -m "not slow" tests/serving tests/web \
	  --ignore=tests/web/test_page.py --ignore=tests/web/test_page_modules.py
	KERAS_BACKEND=jax $(PY) $(PYTEST) --numprocesses 2 -m "not slow" tests/backbone tests/training/test_ctc_loss*.py

page: $(VENV)/.ready $(LITERTJS)/.ready  ## Speak into the page, on the server and in the browser (wants Chromium and npm)
	TFWAV2VEC2_LITERTJS=$(CURDIR)/$(LITERTJS)/node_modules KERAS_BACKEND=tensorflow \
	  $(PY) $(PYTEST) --numprocesses 2 --dist loadfile tests/web/test_page.py tests/web/test_page_modules.py

tensorflow-io: $(TENSORFLOW_IO)/.ready  ## Decode in the graph, on the last TensorFlow that tensorflow-io works with
	$(TENSORFLOW_IO)/bin/python -c 'import tensorflow_io'  # the tests would skip without it
	KERAS_BACKEND=tensorflow $(TENSORFLOW_IO)/bin/python $(PYTEST) tests/data/test_graph_audio.py

# NOTEBOOKS names some of them.
notebooks: $(VENV)/.ready  ## Run the notebooks on the recordings in ../shared/data (or the folder TFWAV2VEC2_DATA)
	$(PY) notebooks/execute.py --check $(NOTEBOOKS)

two-processes: $(VENV)/.ready  ## Train in two processes as on one device; kill batches at work and take them up again
	KERAS_BACKEND=tensorflow $(PY) $(PYTEST) tests/training/test_distribute.py
	KERAS_BACKEND=jax $(PY) $(PYTEST) tests/training/test_distribute.py
	$(PY) $(PYTEST) tests/beam/test_killed.py -k again_and_again

slow: $(VENV)/.ready  ## The tests that take long: whole commands, several processes, killed trainings
	KERAS_BACKEND=tensorflow $(PY) $(PYTEST) --numprocesses 2 --dist loadfile -m slow --ignore=tests/parity

soak: $(VENV)/.ready  ## Many clients for a minute, and more than the server takes
	KERAS_BACKEND=tensorflow $(PY) $(PYTEST) -s tests/web/test_soak.py tests/web/test_limits.py

slow-on-jax: $(VENV)/.ready  ## What takes long on JAX, where each model compiles its own programs
	KERAS_BACKEND=jax $(PY) $(PYTEST) --numprocesses 2 -m "not slow" tests/heads tests/data tests/metrics tests/training
	KERAS_BACKEND=jax $(PY) $(PYTEST) --numprocesses 2 --dist loadfile -m slow --ignore=tests/parity

parity: $(PARITY)/.ready $(TRANSFORMERS5)/.ready  ## Compare with the reference, live
	TFWAV2VEC2_TRANSFORMERS5_PYTHON=$(CURDIR)/$(TRANSFORMERS5)/bin/python \
	  $(PARITY)/bin/python $(PYTEST) --numprocesses 2 --dist loadfile tests/parity tests/recipes/test_fsdd.py
	$(PARITY)/bin/python -m tests.parity.table --size tiny --check README.md

full: test page tensorflow-io slow notebooks slow-on-jax parity  ## Everything; what it printed last is kept in docs/full.txt
	KERAS_BACKEND=jax TFWAV2VEC2_TRANSFORMERS5_PYTHON=$(CURDIR)/$(TRANSFORMERS5)/bin/python \
	  $(PARITY)/bin/python $(PYTEST) --numprocesses 2 --dist loadfile tests/parity
	TFWAV2VEC2_BEAM_CASES=10000 $(PARITY)/bin/python $(PYTEST) tests/parity/test_beam_search.py -k over_all
	$(PARITY)/bin/python -m tests.parity.table --size base --check README.md

benchmarks: $(PARITY)/.ready  ## Every claim about speed, side by side with its peer
	$(PARITY)/bin/python -m benchmarks.ctc_loss
	$(PARITY)/bin/python -m benchmarks.base_speed
	$(PARITY)/bin/python -m benchmarks.cold_start
	$(PARITY)/bin/python -m benchmarks.open_model
	$(PARITY)/bin/python -m benchmarks.convert
	$(PARITY)/bin/python -m benchmarks.training_step
	$(PARITY)/bin/python -m benchmarks.input_pipeline
	$(PARITY)/bin/python -m benchmarks.streaming
	$(PARITY)/bin/python -m benchmarks.batch
	$(PARITY)/bin/python -m benchmarks.corpus
	$(PARITY)/bin/python -m benchmarks.long_audio
	$(PARITY)/bin/python -m benchmarks.alignment
	$(PARITY)/bin/python -m pip install --quiet --requirement requirements/benchmarks.txt
	$(PARITY)/bin/python -m benchmarks.beam_search
	$(PARITY)/bin/python -m benchmarks.server
	$(PARITY)/bin/python -m benchmarks.litert
	$(PARITY)/bin/python -m benchmarks.litert_cold_start

clean:  ## Remove the environments
	rm -rf $(VENV) $(PARITY) $(TRANSFORMERS5) $(LITERT) $(LITERTJS) $(TENSORFLOW_IO)
