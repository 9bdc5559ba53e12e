/* Loads a SavedModel through TensorFlow's C API, as a server does, and runs it once.
 *
 * serve FOLDER WAVEFORM LENGTHS LOGITS ROWS SAMPLES RESULT: the folder, the names of two inputs and of an output, the
 * shape of the waveform, whose values and lengths are in the files "waveform" and "lengths", and the file to write. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensorflow/c/c_api.h"

static void check(TF_Status *status, const char *what) {
  if (TF_GetCode(status) != TF_OK) {
    fprintf(stderr, "%s: %s\n", what, TF_Message(status));
    exit(1);
  }
}

/* The tensor "name:index" of a graph. */
static TF_Output find(TF_Graph *graph, const char *name) {
  char operation[1024];
  int index = 0;
  snprintf(operation, sizeof operation, "%s", name);
  char *colon = strrchr(operation, ':');
  if (colon) {
    index = atoi(colon + 1);
    *colon = 0;
  }
  TF_Output found = {TF_GraphOperationByName(graph, operation), index};
  if (!found.oper) {
    fprintf(stderr, "no operation %s\n", operation);
    exit(1);
  }
  return found;
}

/* A tensor with the contents of a file. */
static TF_Tensor *read_tensor(const char *path, TF_DataType type, const int64_t *shape, int axes) {
  size_t bytes = TF_DataTypeSize(type);
  for (int axis = 0; axis < axes; axis++) bytes *= (size_t)shape[axis];
  TF_Tensor *tensor = TF_AllocateTensor(type, shape, axes, bytes);
  FILE *file = fopen(path, "rb");
  if (!file || fread(TF_TensorData(tensor), 1, bytes, file) != bytes) {
    fprintf(stderr, "cannot read %s\n", path);
    exit(1);
  }
  fclose(file);
  return tensor;
}

int main(int count, char **arguments) {
  if (count != 8) {
    fprintf(stderr, "usage: serve FOLDER WAVEFORM LENGTHS LOGITS ROWS SAMPLES RESULT\n");
    return 2;
  }
  TF_Status *status = TF_NewStatus();
  TF_Graph *graph = TF_NewGraph();
  TF_SessionOptions *options = TF_NewSessionOptions();
  const char *tags[] = {"serve"};
  TF_Session *session =
      TF_LoadSessionFromSavedModel(options, NULL, arguments[1], tags, 1, graph, NULL, status);
  check(status, "load");
  int64_t shape[] = {atoll(arguments[5]), atoll(arguments[6])};
  TF_Output inputs[] = {find(graph, arguments[2]), find(graph, arguments[3])};
  TF_Tensor *values[] = {read_tensor("waveform", TF_FLOAT, shape, 2), read_tensor("lengths", TF_INT32, shape, 1)};
  TF_Output outputs[] = {find(graph, arguments[4])};
  TF_Tensor *results[1];
  TF_SessionRun(session, NULL, inputs, values, 2, outputs, results, 1, NULL, 0, NULL, status);
  check(status, "run");
  FILE *file = fopen(arguments[7], "wb");
  if (!file || fwrite(TF_TensorData(results[0]), 1, TF_TensorByteSize(results[0]), file) != TF_TensorByteSize(results[0])) {
    fprintf(stderr, "cannot write %s\n", arguments[7]);
    return 1;
  }
  return fclose(file);
}
