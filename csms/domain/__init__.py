"""Facts and rules of the field, without I/O: values and the time go in, values come out."""
