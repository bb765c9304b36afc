document.getElementById("main").textContent = "dropless";
