"""Tables of cases, and the rules that every case must satisfy."""
