(function () {
  var words = document.getElementById("words"), severity = document.getElementById("severity");
  var issue = document.getElementById("issue"), count = document.getElementById("count");
  var patients = Array.prototype.slice.call(document.querySelectorAll("section"));
  var texts = patients.map(function (patient) { return patient.textContent.toLowerCase(); });
  function search() {
    var wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean), shown = 0;
    patients.forEach(function (patient, index) {
      var fits = wanted.every(function (word) { return texts[index].indexOf(word) >= 0; }) &&
        (!severity.value || patient.dataset.severities.split(" ").indexOf(severity.value) >= 0) &&
        (!issue.value || patient.dataset.issues.split(" ").indexOf(issue.value) >= 0);
      patient.hidden = !fits;
      shown += fits ? 1 : 0;
    });
    count.textContent = shown + " of " + patients.length + " shown";
  }
  document.getElementById("search").hidden = false;
  [words, severity, issue].forEach(function (field) { field.addEventListener("input", search); });
  search();
})();
