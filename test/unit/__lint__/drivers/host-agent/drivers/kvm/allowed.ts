import "./domain-xml.ts";
import "../driver.ts";
import "../seed.ts";
