// The page of a case: an answer is sent, and the part of the page that it changes is replaced.
